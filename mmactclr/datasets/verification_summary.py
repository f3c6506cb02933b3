"""What an archive holds: as numbers for machines and as lines for people."""
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmactclr.transforms.adaptation import METRES

from .archive import SkeletonArchive
from .archive_format import KEYPOINTS
from .splits import PARTS, split_counts
from .verification_scan import Content

# recordings with fewer frames hardly show an action
SHORT = 10
# share of the frames from which on a joint that was not found is worth a line of its own
NOTABLE = .01
_SHOWN = 4
_LABEL_WIDTH = 11


def some(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ', '.join(names[:_SHOWN]) + (f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else '')


def describe(archive: SkeletonArchive, content: Content) -> dict[str, Any]:
    """Facts by section, plain numbers and texts; :func:`summary_lines` puts them into words."""
    meta, layout, frames = archive.meta, archive.layout, archive.column('frames')
    fps = meta.get('fps')
    return dict(
        sequences=dict(count=len(archive), frames=int(frames.sum()), bytes=meta['files'][KEYPOINTS]['bytes'], fps=fps,
                       minutes=float(frames.sum() / fps / 60) if fps else None),
        layout=dict(name=layout.name, joints=layout.num_joints, coordinates=archive.num_axes,
                    centre=layout.joints[layout.centre]),
        unit=_unit(archive, content),
        classes=_classes(archive),
        lengths=dict(shortest=int(frames.min()), median=float(np.median(frames)), longest=int(frames.max()),
                     one_frame=int((frames == 1).sum()), short=int((frames < SHORT).sum())),
        persons={str(n): count for n, count in sorted(Counter(archive.column('persons').tolist()).items())},
        missing=_missing(archive, content),
        conversion=dict(left_out=meta.get('excluded') or {}, mended=meta.get('notes') or {}),
        duplicates=_duplicates(archive, content.digests),
        splits={name: _split(archive.column(f'split_{name}')) for name in archive.split_names},
        columns={name: _column(archive.column(name)) for name in archive.extra_columns},
        source=meta.get('source') or None, licence=meta.get('licence') or None, checksum=archive.checksum)


def _unit(archive: SkeletonArchive, content: Content) -> dict[str, Any]:
    """Unit, median torso in it and in metres (None where the unit is no length), and the axis torsos point along."""
    unit = str(archive.meta.get('unit') or 'unknown')
    facts: dict[str, Any] = dict(name=unit, torso=None, torso_metres=None, up=None, upright=None)
    length = np.linalg.norm(content.spine, axis=-1)
    if length.sum() > 0:
        facts['torso'] = torso = float(np.median(length))
        if unit.strip().lower() in METRES:
            facts['torso_metres'] = torso * METRES[unit.strip().lower()]
        mean = content.spine.sum(0) / length.sum()
        axis = int(np.abs(mean).argmax())
        facts['up'], facts['upright'] = ('+' if mean[axis] > 0 else '-') + 'xyz'[axis], float(abs(mean[axis]))
    return facts


def _classes(archive: SkeletonArchive) -> dict[str, Any]:
    sizes = {name: int((archive.labels == k).sum()) for k, name in enumerate(map(str, archive.classes))}
    by_size = sorted(sizes, key=sizes.__getitem__)
    return dict(count=len(archive.classes), sizes=sizes, smallest=by_size[0] if sizes else None,
                largest=by_size[-1] if sizes else None, unlabelled=int((archive.labels < 0).sum()))


def _missing(archive: SkeletonArchive, content: Content) -> dict[str, Any]:
    shares = content.at_zero / max(content.seen, 1)
    notable = [int(joint) for joint in np.argsort(-shares, kind='stable') if shares[joint] >= NOTABLE]
    return dict(
        person_frames=content.seen + content.persons_absent, person_absent=content.persons_absent,
        frames=int(archive.column('frames').sum()), nobody=content.nobody, joints=content.seen * len(shares),
        joints_at_zero=int(content.at_zero.sum()),
        shares_at_zero={archive.layout.joints[joint]: round(float(shares[joint]), 4) for joint in notable})


def _duplicates(archive: SkeletonArchive, digests: Sequence[bytes]) -> dict[str, Any]:
    """Sequences that equal an earlier one of the same kind, and test sequences that equal a training one."""

    def extra(positions: Sequence[int]) -> int:
        return len(positions) - len({digests[i] for i in positions})

    facts: dict[str, Any] = dict(anywhere=extra(range(len(archive))), splits={})
    for name in archive.split_names:
        train, test = (np.flatnonzero(archive.column(f'split_{name}') == part).tolist() for part in PARTS)
        training = {digests[i] for i in train}
        facts['splits'][name] = dict(inside_train=extra(train), inside_test=extra(test),
                                     across=sum(digests[i] in training for i in test))
    return facts


def _split(split: np.ndarray) -> dict[str, int]:
    counts = split_counts(split)
    return {**counts, 'neither': len(split) - sum(counts.values())}


def _column(values: np.ndarray) -> dict[str, Any]:
    distinct = np.unique(values)
    facts: dict[str, Any] = dict(values=len(distinct))
    if values.dtype.kind in 'biuf':
        finite = distinct[np.isfinite(distinct)]
        if len(finite):
            facts.update(lowest=finite[0].item(), highest=finite[-1].item())
    else:
        facts.update(examples=[str(value) for value in distinct if str(value)][:3])
    return facts


def summary_lines(facts: Mapping[str, Any]) -> list[str]:
    """The facts of :func:`describe` in words, section by section."""
    sections = dict(
        sequences=_sequences_text(facts), layout=_layout_text(facts), unit=_unit_text(facts['unit']),
        classes=_classes_text(facts['classes']), lengths=_lengths_text(facts['lengths']),
        persons=[', '.join(f'{n} in {count} sequences' for n, count in facts['persons'].items())],
        missing=_missing_text(facts['missing']), conversion=_conversion_text(facts['conversion']),
        duplicates=_duplicates_text(facts['duplicates']),
        splits=[f'{name}: {split["train"]} train, {split["test"]} test'
                + (f', {split["neither"]} in neither' if split['neither'] else '')
                for name, split in facts['splits'].items()] or ['none'],
        columns=[f'{name}: {_column_text(column)}' for name, column in facts['columns'].items()] or ['none'],
        **{key: [facts[key] or 'not stated'] for key in ('source', 'licence', 'checksum')})
    return [f'{name if first else "":{_LABEL_WIDTH}}{line}' for name, lines in sections.items()
            for first, line in zip([True, *[False] * len(lines)], lines, strict=False)]


def _sequences_text(facts: Mapping[str, Any]) -> list[str]:
    sequences = facts['sequences']
    rate = (f' ({sequences["minutes"]:.1f} minutes at {sequences["fps"]:g} frames per second)' if sequences['fps']
            else ' (frames per second not stated)')
    return [f'{sequences["count"]} sequences, {sequences["frames"]} frames{rate}, '
            f'{sequences["bytes"] / 2**20:.1f} MiB']


def _layout_text(facts: Mapping[str, Any]) -> list[str]:
    layout = facts['layout']
    return [f'{layout["name"]}: {layout["joints"]} joints, {layout["coordinates"]} coordinates, centre '
            f'{layout["centre"]}']


def _unit_text(unit: Mapping[str, Any]) -> list[str]:
    if unit['torso'] is None:
        return [f'{unit["name"]}; no frame shows both shoulders and both hips']
    metres = '' if unit['torso_metres'] in (None, unit['torso']) else f' = {unit["torso_metres"]:.3g} m'
    return [f'{unit["name"]}; the median torso is {unit["torso"]:.3g}{metres} long, torsos point along {unit["up"]} '
            f'with {unit["upright"]:.0%} of their length']


def _classes_text(classes: Mapping[str, Any]) -> list[str]:
    if not classes['count']:
        return ['none, all sequences are unlabelled']
    sizes, low, high = classes['sizes'], classes['smallest'], classes['largest']
    if sizes[low] == sizes[high]:
        return [f'{classes["count"]}, {sizes[low]} sequences each']
    return [f'{classes["count"]}, {sizes[low]} to {sizes[high]} sequences each; smallest {low}, largest {high}']


def _lengths_text(lengths: Mapping[str, Any]) -> list[str]:
    return [f'{lengths["shortest"]} to {lengths["longest"]} frames, median {lengths["median"]:g}; '
            f'{lengths["short"]} shorter than {SHORT} frames']


def _missing_text(missing: Mapping[str, Any]) -> list[str]:
    lines = [
        f'frames: nobody is there in {_part(missing["nobody"], missing["frames"])}, a stored person is absent in '
        f'{_part(missing["person_absent"], missing["person_frames"])}',
        f'joints: {_part(missing["joints_at_zero"], missing["joints"])} lie exactly at zero though the person is there']
    if missing['shares_at_zero']:
        shares = [f'{name} {share:.1%}' for name, share in missing['shares_at_zero'].items()]
        lines[-1] += f': {some(shares)}'
    return lines


def _part(count: int, total: int) -> str:
    return f'{count} of {total}' + (f' ({count / total:.2%})' if count else '')


def _conversion_text(conversion: Mapping[str, Any]) -> list[str]:
    lines = [f'{what} {len(names)} at conversion ({reason}): {some(names)}'
             for what, reasons in (('left out', conversion['left_out']), ('mended', conversion['mended']))
             for reason, names in reasons.items()]
    return lines or ['nothing left out, nothing mended']


def _duplicates_text(duplicates: Mapping[str, Any]) -> list[str]:
    if not duplicates['anywhere']:
        return ['none']
    lines = [f'{duplicates["anywhere"]} sequences equal an earlier one to the last bit']
    return lines + [f'{name}: {found["inside_train"]} inside train, {found["inside_test"]} inside test, '
                    f'{found["across"]} test sequences that are in train'
                    for name, found in duplicates['splits'].items()]


def _column_text(column: Mapping[str, Any]) -> str:
    many = f'{column["values"]} value' + ('s' if column['values'] != 1 else '')
    if 'lowest' in column:
        low, high = column['lowest'], column['highest']
        return f'{low:g} to {high:g}, {many}' if low != high else f'{low:g}, {many}'
    examples = ', '.join(column.get('examples', ()))
    return f'{many}, such as {examples}' if examples else many
