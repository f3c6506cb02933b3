"""One method on several processes, on GPUs or CPUs."""
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mmengine.dist import all_reduce_params
from mmengine.model import MMDistributedDataParallel
from torch import Tensor

from mmactclr.errors import ConfigError
from mmactclr.models.algorithms import BaseAlgorithm
from mmactclr.models.norms import synchronise_batch_norms
from mmactclr.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class DistributedMethod(MMDistributedDataParallel):
    """Trains a method on several processes, each with its share of every batch.

    Gradients are averaged by torch's DDP, running statistics of batch norm after every step, and
    ``MemoryBankHook`` gathers the keys. So all processes hold the same model at any time, and a checkpoint or
    a validation does not depend on which of them made it. Every distributed run uses this wrapper;
    ``model_wrapper_cfg`` in a config gives further arguments, ``type`` in it another wrapper.

    Args:
        module: The method, already on its device.
        batch_norm: ``local`` takes the statistics of batch norms over the share of a process, ``synchronised`` over
            the whole batch, so that any number of processes does what one does; it sends two numbers a channel more.
        device_ids: The GPU of this process; does not count on CPUs.
        kwargs: Arguments of :class:`torch.nn.parallel.DistributedDataParallel`; a custom backbone with
            parameters that not every loss reaches needs ``find_unused_parameters=True``.
    """

    def __init__(self, module: BaseAlgorithm, device_ids: Sequence[int] | None = None,
                 batch_norm: Literal['local', 'synchronised'] = 'local', **kwargs: Any) -> None:
        if batch_norm not in ('local', 'synchronised'):
            raise ConfigError(f"model_wrapper_cfg.batch_norm is {batch_norm!r}, expected 'local' or 'synchronised'")
        if batch_norm == 'synchronised':
            synchronise_batch_norms(module)
        on_cpu = next(module.parameters()).device.type == 'cpu'
        super().__init__(module, device_ids=None if on_cpu else device_ids, **kwargs)
        # by default every step begins with rank 0's buffers, its anchor, memory and statistics, on all ranks;
        # set here because torch renamed the argument
        self.broadcast_buffers = False
        # the few weights of 1x1 convolutions over channels-last maps; copying them costs nothing
        warnings.filterwarnings('ignore', 'Grad strides do not match bucket view strides')

    def train_step(self, data: Mapping[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        """One optimisation step on this process's share; returns losses and scalars of that share.

        One backward pass of all terms together: DDP takes part in the backward pass that follows a
        forward pass, and expects it to reach every parameter.
        """
        method = self.module
        views = method.training_views(data)
        with optim_wrapper.optim_context(self):
            known = {name: views[name] for name in ('index', 'label', 'archive') if name in views}
            losses = self(views['inputs'], masks=views['masks'], mixes=views['mixes'], mode='loss', **known)
        optim_wrapper.update_params(sum(losses.values()))
        all_reduce_params([buffer for name, buffer in method.named_buffers()
                           if name.endswith(('running_mean', 'running_var'))], op='mean')
        return method.step_outputs({name: loss.detach() for name, loss in losses.items()})
