"""LesionAttentionNet and its backbones."""
