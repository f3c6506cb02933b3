"""One child registry per kind of component, scope ``mmactclr``, under every root of mmengine.

A component registers here and is then built from a config by its bare name inside this package, or
as ``mmactclr.Name`` from any other OpenMMLab project. A user's own file does the same through
``custom_imports``, an installed package through its entry point: :mod:`mmactclr.plugins`.
"""
from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import EVALUATOR as MMENGINE_EVALUATOR
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import INFERENCERS as MMENGINE_INFERENCERS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import RUNNER_CONSTRUCTORS as MMENGINE_RUNNER_CONSTRUCTORS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import Registry

from .components import ComponentRegistry
from .plugins import load_plugins

SCOPE = 'mmactclr'


class PluginRegistry(ComponentRegistry):
    """A registry that knows what installed plugins add, from its first search on."""

    def import_from_location(self) -> None:
        """Import the modules of this package that register here, then the plugins, which may build on them."""
        super().import_from_location()
        load_plugins()

    @property
    def module_dict(self) -> dict[str, Any]:
        """Everything that is registered here, by name."""
        self.import_from_location()
        return super().module_dict


def _child(root: Registry, *locations: str) -> Registry:
    return PluginRegistry(root.name, parent=root, scope=SCOPE, locations=list(locations))


RUNNERS = _child(MMENGINE_RUNNERS, 'mmactclr.engine')
RUNNER_CONSTRUCTORS = _child(MMENGINE_RUNNER_CONSTRUCTORS)
LOOPS = _child(MMENGINE_LOOPS, 'mmactclr.engine')
HOOKS = _child(MMENGINE_HOOKS, 'mmactclr.engine')
STRATEGIES = _child(MMENGINE_STRATEGIES)
LOG_PROCESSORS = _child(MMENGINE_LOG_PROCESSORS)

DATASETS = _child(MMENGINE_DATASETS, 'mmactclr.datasets')
DATA_SAMPLERS = _child(MMENGINE_DATA_SAMPLERS, 'mmactclr.datasets')
TRANSFORMS = _child(MMENGINE_TRANSFORMS, 'mmactclr.transforms')
FUNCTIONS = _child(MMENGINE_FUNCTIONS, 'mmactclr.datasets')
CONVERTERS = PluginRegistry('converter', scope=SCOPE, locations=['mmactclr.datasets.converters'])
EXPORTERS = PluginRegistry('exporter', scope=SCOPE, locations=['mmactclr.datasets.exporters'])

MODELS = _child(MMENGINE_MODELS, 'mmactclr.models')
MODEL_WRAPPERS = _child(MMENGINE_MODEL_WRAPPERS, 'mmactclr.engine')
WEIGHT_INITIALIZERS = _child(MMENGINE_WEIGHT_INITIALIZERS)

OPTIMIZERS = _child(MMENGINE_OPTIMIZERS)
OPTIM_WRAPPERS = _child(MMENGINE_OPTIM_WRAPPERS, 'mmactclr.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child(MMENGINE_PARAM_SCHEDULERS)

METRICS = _child(MMENGINE_METRICS, 'mmactclr.evaluation')
EVALUATOR = _child(MMENGINE_EVALUATOR, 'mmactclr.evaluation')

VISUALIZERS = _child(MMENGINE_VISUALIZERS)
VISBACKENDS = _child(MMENGINE_VISBACKENDS)
TASK_UTILS = _child(MMENGINE_TASK_UTILS)
INFERENCERS = _child(MMENGINE_INFERENCERS)
