"""Post-hoc logit adjustment: the plain remedy for rare classes, with which Class-Balanced Loss is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from monai_pneumonia.errors import UsageError

HEAD_BIAS = "head.bias"


def adjusted_parameters(parameters: Mapping[str, Tensor], class_counts: Sequence[int], tau: float) -> dict[str, Tensor]:
    """Takes tau log(prior) off a trained network's logits (Menon et al. 2021, arXiv 2007.07314), in the bias of its head.

    In the weights, and not at inference, so that there is one inference path and the weights mean what they give.

    Args:
        parameters: the network's state dictionary.
        class_counts: training items of each class.
        tau: 0 changes nothing, 1 is what makes a calibrated network best for balanced accuracy.

    Raises:
        UsageError: a class has no training item of its own.
    """
    adjusted = dict(parameters)
    if tau == 0:
        return adjusted
    counts = torch.as_tensor(list(class_counts), dtype=torch.float64)
    if bool((counts < 1).any()):
        raise UsageError(
            f"a class without a training item has no prior to adjust by; counts are {list(class_counts)} (key `loss#logit_adjustment`)"
        )
    bias = adjusted[HEAD_BIAS]
    adjusted[HEAD_BIAS] = bias - (tau * torch.log(counts / counts.sum())).to(bias)
    return adjusted
