"""Features of sequences as points in the plane."""
from typing import Any

import numpy as np

from mmactclr.errors import ConfigError, DataError

#: Ways to get there, and the package that each needs.
METHODS = {'tsne': 'openTSNE', 'umap': 'umap-learn'}
#: What they are called.
TITLES = {'tsne': 't-SNE', 'umap': 'UMAP'}
# below it there is nothing to arrange
_FEWEST = 5


def embed_in_plane(features: np.ndarray, method: str = 'tsne', seed: int = 0, perplexity: float = 30.) -> np.ndarray:
    """Arrange features in the plane so that neighbours by cosine similarity stay neighbours.

    Distances between far points, sizes and shapes of clusters mean nothing in either method.

    Args:
        features: (N, D), N at least 5.
        method: ``tsne`` (van der Maaten and Hinton, JMLR 2008) or ``umap`` (McInnes et al., 2018).
        seed: Of the arrangement.
        perplexity: Neighbours that a point of t-SNE, or of UMAP, looks at; at most a third of the others.

    Returns:
        (N, 2) float64.

    Raises:
        ConfigError: If the method is unknown, its package is not installed, or the perplexity is below 1.
        DataError: If there are too few features, or some are not finite.
    """
    if method not in METHODS or perplexity < 1:
        raise ConfigError(f'method {method!r} with perplexity {perplexity:g}; expected {" or ".join(METHODS)} and 1 or '
                          'more')
    features = np.asarray(features, np.float32)
    if features.ndim != 2 or len(features) < _FEWEST or not np.isfinite(features).all():
        raise DataError(f'features of shape {features.shape}, expected (N, D) of {_FEWEST} sequences or more, without '
                        'NaN and infinite numbers')
    perplexity = min(perplexity, (len(features) - 1) / 3)
    arrange = import_method(method)
    if method == 'tsne':
        # exact neighbours: the approximate ones differ from machine to machine
        return np.asarray(arrange(perplexity=perplexity, metric='cosine', neighbors='exact', random_state=seed,
                                  n_jobs=1).fit(features), np.float64)
    return np.asarray(arrange(n_neighbors=max(2, round(perplexity)), metric='cosine', random_state=seed,
                              n_jobs=1).fit_transform(features), np.float64)


def import_method(method: str) -> Any:
    """The class that arranges features.

    Raises:
        ConfigError: If the package that it needs is not installed.
    """
    try:
        if method == 'tsne':
            from openTSNE import TSNE
            return TSNE
        from umap import UMAP
        return UMAP
    except ImportError as error:
        raise ConfigError(f'{TITLES[method]} needs the package {METHODS[method]}, which is not installed: pip install '
                          f'{METHODS[method]}') from error
