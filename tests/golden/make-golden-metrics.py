"""Writes golden-metrics.json beside this file: metrics of classifications, calibration and regressions.

    python3 tests/golden/make-golden-metrics.py

Losses, softmax, the best temperature and calibration errors come from PyTorch; what it has no function for is written out
here after the formula in its textbook form, sample by sample, so that it shares nothing with src/metrics.
"""

import torch
import torch.nn.functional as F
from golden_values import float32_normal, numbers, write

SEED = 20241125
COUNT, CLASSES = 60, 6


def precision_recall_f1(labels, answers, of):
    """Of one class, from the four cases by name."""
    pairs = list(zip(labels, answers))
    true_positives = len([1 for label, answer in pairs if label == of and answer == of])
    false_positives = len([1 for label, answer in pairs if label != of and answer == of])
    false_negatives = len([1 for label, answer in pairs if label == of and answer != of])
    precision = true_positives / (true_positives + false_positives) if true_positives + false_positives else 0.0
    recall = true_positives / (true_positives + false_negatives) if true_positives + false_negatives else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return [precision, recall, f1]


def report(labels, answers, classes):
    per_class = [precision_recall_f1(labels, answers, of) for of in range(classes)]
    support = [labels.count(of) for of in range(classes)]
    there = [of for of in range(classes) if of in labels or of in answers]
    accuracy = sum(label == answer for label, answer in zip(labels, answers)) / len(labels)
    return {
        "perClass": per_class,
        "support": support,
        "macro": [sum(per_class[of][i] for of in there) / len(there) for i in range(3)],
        "weighted": [sum(s * scores[i] for s, scores in zip(support, per_class)) / len(labels) for i in range(3)],
        "accuracy": accuracy,
    }


def confusion(labels, answers, classes):
    return [[sum(pair == (label, answer) for pair in zip(labels, answers)) for answer in range(classes)]
            for label in range(classes)]


def top_k(labels, rows, k):
    hits = 0
    for label, row in zip(labels, rows):
        ranked = sorted(range(len(row)), key=lambda index: -row[index])  # stable: of equals the lower index first
        hits += label in ranked[:k]
    return hits / len(labels)


def calibration_error(confidences, right, bins):
    """As in Guo et al.'s own code: a mask for each bin, open below and closed above."""
    borders = [index / bins for index in range(bins + 1)]
    error, counts = 0.0, []
    for lower, upper in zip(borders[:-1], borders[1:]):
        inside = confidences.gt(lower) & confidences.le(upper)
        counts.append(int(inside.sum()))
        if counts[-1]:
            error += counts[-1] / len(right) * abs(right[inside].mean() - confidences[inside].mean()).item()
    return {"bins": bins, "error": error, "counts": counts}


def best_temperature(logits, labels):
    temperature = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([temperature], lr=0.5, max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-15,
                                  line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(logits / temperature, labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return temperature.item(), F.cross_entropy(logits / temperature, labels).item()


def classes_case(generator):
    """Unequal classes; the last occurs nowhere and the one before is never answered."""
    weights = torch.tensor([0.4, 0.25, 0.2, 0.1, 0.05, 0.0])
    labels = torch.multinomial(weights, COUNT, replacement=True, generator=generator)
    labels[:2] = 4
    logits = float32_normal(generator, COUNT, CLASSES, scale=2.5)
    logits[torch.arange(COUNT), labels] += 3
    logits[:, 4] -= 8
    logits[:, 5] -= 20
    logits = logits.float().double()
    # The probabilities that a program would hold are float32 numbers; what follows is computed on those.
    probabilities = torch.softmax(logits, 1).float().double()
    answers = probabilities.argmax(1)
    confidences, right = probabilities.max(1).values, (answers == labels).double()
    temperature, loss = best_temperature(logits, labels)
    plain = labels.tolist(), answers.tolist()
    return {
        "classes": CLASSES,
        "labels": plain[0],
        "logits": numbers(logits),
        "probabilities": numbers(probabilities),
        "confusion": confusion(*plain, CLASSES),
        "report": report(*plain, CLASSES),
        "topK": [{"k": k, "accuracy": top_k(plain[0], probabilities.tolist(), k)} for k in (1, 2, 3, 6)],
        "calibration": [calibration_error(confidences, right, bins) for bins in (1, 10, 15)],
        "negativeLogLikelihood": F.nll_loss(probabilities.log(), labels).item(),
        "fromLogits": F.cross_entropy(logits, labels).item(),
        "temperature": temperature,
        "lossAtTemperature": loss,
    }


def ties_case(generator):
    """Scores in steps of a half, so that many are equal."""
    labels = torch.randint(0, 4, (40,), generator=generator)
    scores = torch.randint(0, 4, (40, 4), generator=generator).double() / 2
    return {
        "labels": labels.tolist(),
        "scores": numbers(scores),
        "topK": [{"k": k, "accuracy": top_k(labels.tolist(), scores.tolist(), k)} for k in (1, 2, 3, 4)],
    }


def binary_case(generator):
    labels = torch.randint(0, 2, (COUNT,), generator=generator)
    logits = (float32_normal(generator, COUNT) * 3 + labels * 2 - 1).float().double()
    probabilities = torch.sigmoid(logits).float().double()
    answers = (probabilities > 0.5).long()
    confidences = torch.maximum(probabilities, 1 - probabilities)
    right = (answers == labels).double()
    temperature, _ = best_temperature(torch.stack([torch.zeros_like(logits), logits], 1), labels)
    plain = labels.tolist(), answers.tolist()
    return {
        "labels": plain[0],
        "logits": numbers(logits),
        "probabilities": numbers(probabilities),
        "confusion": confusion(*plain, 2),
        "report": report(*plain, 2),
        "calibration": [calibration_error(confidences, right, bins) for bins in (10, 15)],
        "negativeLogLikelihood": F.binary_cross_entropy(probabilities, labels.double()).item(),
        "fromLogits": F.binary_cross_entropy_with_logits(logits, labels.double()).item(),
        "temperature": temperature,
    }


def regression_case(generator):
    """Targets far from zero, the last column the same everywhere."""
    targets = (float32_normal(generator, 25, 3) + 100).float().double()
    targets[:, 2] = 3
    outputs = (targets + float32_normal(generator, 25, 3, scale=0.5)).float().double()
    r2 = []
    for column in range(3):
        t, y = targets[:, column], outputs[:, column]
        spread = ((t - t.mean()) ** 2).sum().item()
        r2.append(1 - ((y - t) ** 2).sum().item() / spread if spread else 0.0)
    return {
        "columns": 3,
        "targets": numbers(targets),
        "outputs": numbers(outputs),
        "meanAbsoluteError": F.l1_loss(outputs, targets).item(),
        "rootMeanSquaredError": F.mse_loss(outputs, targets).sqrt().item(),
        "r2": sum(r2) / 3,
    }


def main():
    generator = torch.Generator().manual_seed(SEED)
    write("golden-metrics.json", {
        "madeBy": f"make-golden-metrics.py, PyTorch {torch.__version__}, seed {SEED}",
        "classes": classes_case(generator),
        "ties": ties_case(generator),
        "binary": binary_case(generator),
        "regression": regression_case(generator),
    })


if __name__ == "__main__":
    main()
