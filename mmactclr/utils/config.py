"""Reading configs: one place for what data and model must agree on."""
import difflib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmactclr.errors import ConfigError

from .config_folders import bases_of_packages, config_folders
from .data_config import DATA_SUFFIXES, check_bases, check_names, plain_data
from .overrides import check_fields, check_file_of_shared, check_overrides_of_shared, import_named, missing_module
from .zoo import list_zoo

# stated once at the top of a config, used in many places below it
SHARED_FIELDS = ('data_root', 'layout', 'split', 'num_frames', 'max_persons', 'num_classes', 'remap', 'up',
                 'metres_per_unit', 'archives', 'divide', 'label_subset', 'init_from', 'from_scratch')
# value of `layout` that means: whatever joints the archive has
FROM_ARCHIVE = 'archive'
# value of `num_classes` that means: the classes of the segments in the archive, and background
FROM_SEGMENTS = 'segments'
# what a run is called, where its files lie, how it is started: not what it computes
_CIRCUMSTANCES = ('work_dir', 'experiment_name', 'load_from', 'init_from', 'data_root', 'resume', 'launcher',
                  'log_level', 'custom_imports', 'env_cfg', 'model_wrapper_cfg', 'find_unused_parameters', 'visualizer')
# what weights are stored in, and how such files begin: zip archives, pickles
_CHECKPOINTS, _ARCHIVES = ('.pth', '.pt', '.ckpt', '.safetensors', '.onnx'), (b'PK', b'\x80\x02')
_CONSUMERS = ('train_dataloader', 'val_dataloader', 'test_dataloader', 'test_cfg', 'model', 'custom_hooks')


def share_fields(cfg: Config) -> Config:
    """Write the top-level :data:`SHARED_FIELDS` everywhere below that has a field of that name.

    A config that changes one of them, on its first lines or by ``--cfg-options``, changes it for the
    data, the preparation, the augmentation, the model and the hooks at once. ``layout='archive'`` takes the joints
    that the archive at ``data_root`` was written with, ``num_classes='archive'`` the number of its classes,
    ``'segments'`` that of the classes of its segments and one for background.

    Raises:
        ConfigError: If layout or classes are to be taken from an archive that cannot be read.
    """
    taken = FROM_ARCHIVE in (cfg.get('layout'), cfg.get('num_classes')) or cfg.get('num_classes') == FROM_SEGMENTS
    if taken and not isinstance(cfg.get('data_root'), (str, Path)):
        raise ConfigError(f'{cfg.filename or "the config"}: data_root is {cfg.get("data_root")!r}, expected the folder '
                          'of an archive, from which layout or num_classes are to be taken')
    if cfg.get('layout') == FROM_ARCHIVE:
        cfg.layout = _archived('layout', Path(cfg.data_root))
    if cfg.get('num_classes') == FROM_ARCHIVE:
        cfg.num_classes = len(_archived('classes', Path(cfg.data_root)))
        if not cfg.num_classes:
            raise ConfigError(f"num_classes='archive': the sequences of {cfg.data_root} have no labels; convert the "
                              'data with labels, or evaluate what needs none')
    elif cfg.get('num_classes') == FROM_SEGMENTS:
        # background is the last class
        cfg.num_classes = len(_archived('extra', Path(cfg.data_root)).get('segment_classes', ())) + 1
    shared = {name: cfg[name] for name in SHARED_FIELDS if name in cfg}
    for section in _CONSUMERS:
        if cfg.get(section) is not None:
            _write(cfg[section], shared)
    return cfg


def _archived(field: str, data_root: Path) -> Any:
    kind = list if field == 'classes' else dict
    try:
        value = json.loads((data_root / 'meta.json').read_text())[field]
        if not isinstance(value, kind):
            raise ValueError(f'{field} is no {kind.__name__}')
        return value
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{FROM_ARCHIVE!r} takes the {field} from {data_root / 'meta.json'}, which cannot be "
                          f'read ({type(error).__name__}); set data_root to a folder that '
                          'tools/dataset_converters/convert.py wrote') from error


def _write(node: Any, shared: Mapping[str, Any]) -> None:
    if isinstance(node, dict):
        for name, value in shared.items():
            if name in node:
                node[name] = value
        for value in node.values():
            _write(value, shared)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _write(value, shared)


def _roots() -> list[Path]:
    """Folders of all configs that are known by name; those of this package come first."""
    return [folder for folders in config_folders().values() for folder in folders]


def find_config(name: str | Path) -> Path:
    """Path of a config file: a path as it is, or relative to the configs of this package or of an installed plugin.

    Raises:
        ConfigError: If there is no such file; the message lists configs with a similar name.
    """
    path = Path(name)
    if path.is_file():
        return path
    roots = _roots()
    relative = Path(*path.parts[1:]) if path.parts[:1] == ('configs',) else path
    for root in roots:
        for candidate in (root / relative, root / relative.parent / f'{relative.name}.py'):
            if candidate.is_file():
                return candidate
        found = sorted(root.rglob(f"{path.name.removesuffix('.py')}.py")) if len(path.parts) == 1 else []
        if found:
            return found[0]
    known = sorted(p.stem for root in roots for p in root.rglob('*.py') if '_base_' not in p.parts)
    near = difflib.get_close_matches(path.stem, known, n=3)
    family = [one for one in known if one.split('_')[0] == path.stem.split('_')[0]]
    hint = f'did you mean {" or ".join(near)}? ' if near else ''
    weights = difflib.get_close_matches(path.stem, list_zoo(), n=3)
    hint += f'Published weights of a similar name: {", ".join(weights)}. ' if weights else ''
    raise ConfigError(f'config file {str(name)!r} does not exist, and no config of this package or of a plugin has '
                      f'that name; {hint}'
                      f'Known configs: {", ".join(family or ([] if near else known)) or "see mmactclr list configs"}')


def load_config(name: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config, apply overrides and share the fields that data and model have in common.

    Args:
        name: Path or name of the config.
        options: Overrides by dotted key, as ``--cfg-options`` gives them.

    Raises:
        ConfigError: If the file does not exist or does not parse, an override does not fit, a module that it imports
            is missing, or it or the file states what a shared field replaces by another value.
    """
    path = find_config(name)
    if path.suffix.lower() in _CHECKPOINTS or path.read_bytes()[:2] in _ARCHIVES:
        raise ConfigError(f'{path} is a checkpoint, expected a config: a file that ends in .py, or the name of a '
                          'config of this package; where a tool takes both, the config comes first')
    try:
        check_bases(path, _roots())
        with plain_data(), bases_of_packages():
            cfg = Config.fromfile(str(path))
        if path.suffix in DATA_SUFFIXES:
            check_names(cfg.to_dict())
    except ImportError as error:
        raise ConfigError(f'{path}: a module that the config imports (custom_imports) could not be imported: '
                          f'{missing_module(error, [path.parent])}') from error
    except ConfigError as error:
        raise error if str(path) in str(error) else ConfigError(f'{path}: {error}') from error
    except Exception as error:  # a config in Python is a program, which raises whatever its author wrote
        raise ConfigError(f'{path}: the config could not be read: {type(error).__name__}: {error}') from error
    of_file = cfg.to_dict()
    if options:
        check_fields(cfg, options, path, SHARED_FIELDS)
        try:
            check_names(options)
            cfg.merge_from_dict(dict(options))
        except ConfigError as error:
            raise ConfigError(f'--cfg-options: {error}') from error
        except Exception as error:  # mmengine has no word for an option that goes through what is no dict
            raise ConfigError(f'--cfg-options {dict(options)} does not fit {path}: {type(error).__name__}: '
                              f'{error}') from error
        if any(option.split('.')[0] == 'custom_imports' for option in options):
            import_named(cfg.get('custom_imports') or {}, path)
    merged = cfg.to_dict() if options else of_file
    share_fields(cfg)
    shared = {name: cfg[name] for name in SHARED_FIELDS if name in cfg}
    check_overrides_of_shared(options or {}, merged, _CONSUMERS, shared)
    check_file_of_shared(path, of_file, _CONSUMERS, shared)
    return cfg


def recipe_hash(cfg: Config) -> str:
    """Twelve hexadecimal digits of what a config computes.

    Equal for runs that differ in paths, names and the seed of the run alone, whose numbers may be averaged or compared
    seed by seed. Of a file of labels its content counts.
    """
    content = _without_circumstances(cfg.to_dict())
    content.get('randomness', {}).pop('seed', None)
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def recipe_of(cfg: Config) -> dict[str, Any]:
    """What a config computes as plain data, without paths, names and how a run is started; with its seed."""
    return json.loads(json.dumps(_without_circumstances(cfg.to_dict()), default=str))


def _without_circumstances(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _file_digest(inner) if name == 'label_subset' else _without_circumstances(inner)
                for name, inner in value.items() if name not in _CIRCUMSTANCES and inner is not None}
    return [_without_circumstances(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _file_digest(value: Any) -> Any:
    """The content of a file that is named, anything else as it is."""
    if isinstance(value, (str, Path)) and Path(value).is_file():
        return hashlib.sha256(Path(value).read_bytes()).hexdigest()
    return _without_circumstances(value)
