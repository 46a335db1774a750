"""LesionAttentionNet and its backbones."""

from monai_pneumonia.networks.backbones import backbone_names, build_backbone, register_backbone
from monai_pneumonia.networks.contrastive import MoCoNet, SimCLRNet
from monai_pneumonia.networks.lesion_attention_net import Guidance, LesionAttentionNet, LesionOutput, gated_mean

__all__ = [
    "Guidance",
    "LesionAttentionNet",
    "LesionOutput",
    "MoCoNet",
    "SimCLRNet",
    "backbone_names",
    "build_backbone",
    "gated_mean",
    "register_backbone",
]
