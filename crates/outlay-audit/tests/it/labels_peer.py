"""Scikit-learn's digits with planted errors, and what scikit-learn and cleanlab make of them, for tests/it/labels.rs."""

import json
import sys

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

pixels, truth = load_digits(return_X_y=True)
pixels.astype(np.float32).tofile("pixels")
cases = []
for kind in sys.argv[1:]:
    noise, share = kind.split(":")
    random = np.random.default_rng(1)
    labels = truth.copy()
    flipped = random.choice(len(truth), int(float(share) * len(truth)), replace=False)
    if noise == "uniform":
        labels[flipped] = (truth[flipped] + random.integers(1, 10, len(flipped))) % 10
    else:
        # Each class is taken for one other.
        labels[flipped] = (truth[flipped] + 3) % 10
    is_flipped = labels != truth
    model = LogisticRegression(max_iter=2000)
    probabilities = cross_val_predict(model, pixels / 16, labels, cv=5, method="predict_proba").astype(np.float32)
    probabilities.tofile(f"{kind}.probabilities")
    scores = {
        name: get_label_quality_scores(labels, probabilities, method=name)
        for name in ("self_confidence", "normalized_margin")
    }
    issues = {
        name: np.flatnonzero(find_label_issues(labels, probabilities, filter_by=name, n_jobs=1)).tolist()
        for name in ("prune_by_noise_rate", "prune_by_class", "both")
    }
    cases.append(
        {
            "kind": kind,
            "labels": labels.tolist(),
            "is_flipped": is_flipped.tolist(),
            "auroc": {name: roc_auc_score(~is_flipped, of) for name, of in scores.items()},
            "scores": {name: of.tolist() for name, of in scores.items()},
            "issues": issues,
        }
    )
json.dump(cases, sys.stdout)
