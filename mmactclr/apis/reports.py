"""Pictures of the reports of a run."""
from pathlib import Path

from mmactclr.engine.hooks.report_hook import CONFUSION, REPORTS, TIMELINE
from mmactclr.errors import DataError
from mmactclr.visualization import draw_confusion, draw_timelines, read_confusion, read_timelines


def draw_reports(work_dir: str | Path) -> list[Path]:
    """Draw every confusion matrix and timeline in the ``reports`` of a work dir, each beside its table.

    Args:
        work_dir: Folder of a run.

    Returns:
        The PNG files, in the order of the tables.

    Raises:
        DataError: If there are no reports, or a table cannot be read.
    """
    folder = Path(work_dir) / REPORTS
    tables = sorted([*folder.glob(f'*{CONFUSION}'), *folder.glob(f'*{TIMELINE}')])
    if not tables:
        raise DataError(f'{folder}: there is no *{CONFUSION} and no *{TIMELINE}; give the work dir of a test, or of a '
                        'training that ended with an evaluation')
    return [_draw(table) for table in tables]


def _draw(table: Path) -> Path:
    title = table.name.split('.')[0]
    if table.name.endswith(TIMELINE):
        return draw_timelines(read_timelines(table), table.with_suffix('.png'), title)
    return draw_confusion(*read_confusion(table), table.with_suffix('.png'), title)
