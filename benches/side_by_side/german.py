"""How good a model is that nobody tuned: German credit, beside scikit-learn."""

import csv
import statistics

import numpy as np
from report import row
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from timing import REPEATS


def german(bench):
    """Cross-validated AUC on the German credit data with no option given."""
    header, records = read_csv(bench.arguments.data)
    target = header.index("creditability")
    features = [name for name in header if name != "creditability"]
    kinds = ["integer" if all(record[i].isdigit() for record in records) else "text" for i in range(len(header))]
    declared = ", ".join(f"{name} {kind}" for name, kind in zip(header, kinds, strict=True))
    bench.execute(f"CREATE TABLE german (id int, {declared})")
    with bench.connection.cursor() as cursor, cursor.copy("COPY german FROM STDIN") as copy:
        for number, record in enumerate(records):
            copy.write_row([number, *record])
    bench.execute("CREATE TABLE fold (id int)")

    numeric = [i for i, kind in enumerate(kinds) if kind == "integer"]
    categorical = [i for i, kind in enumerate(kinds) if kind == "text" and i != target]
    table = np.array(
        [[float(v) if kinds[i] == "integer" else v for i, v in enumerate(record)] for record in records], dtype=object
    )
    bad = np.array([record[target] == "bad" for record in records])

    ours, theirs = [], []
    for shuffle in range(REPEATS):
        ours_folds, theirs_folds = [], []
        for kept, held in StratifiedKFold(5, shuffle=True, random_state=shuffle).split(table, bad):
            bench.execute("TRUNCATE fold")
            with bench.connection.cursor() as cursor, cursor.copy("COPY fold FROM STDIN") as copy:
                for number in kept:
                    copy.write_row([int(number)])
            query = f"SELECT {', '.join(header)} FROM german JOIN fold USING (id) ORDER BY id"
            bench.execute("SELECT * FROM neural.train('german', %s, 'creditability')", (query,))
            scores = dict(
                bench.execute(
                    f"SELECT id, neural.predict('german', {', '.join(features)}) "
                    "FROM german WHERE id NOT IN (SELECT id FROM fold)"
                ).fetchall()
            )
            # Which class is the positive one follows from the data: here the rarer, bad.
            ours_folds.append(roc_auc_score(bad[held], [scores[int(number)] for number in held]))
            bench.execute("SELECT neural.drop_model('german')")

            peer = make_pipeline(
                make_column_transformer(
                    (StandardScaler(), numeric), (OneHotEncoder(handle_unknown="ignore"), categorical)
                ),
                LogisticRegression(max_iter=1000),
            )
            peer.fit(table[kept], bad[kept])
            theirs_folds.append(roc_auc_score(bad[held], peer.predict_proba(table[held])[:, 1]))
        ours.append(statistics.mean(ours_folds))
        theirs.append(statistics.mean(theirs_folds))
    return row(
        f"German credit, 5-fold cross-validated AUC with no option given, mean of {REPEATS} shuffles",
        "scikit-learn's logistic regression on the same folds",
        statistics.mean(ours), statistics.mean(theirs), "", lambda a, _: a, "AUC", at_least=0.775,
        shuffles=ours, peer_shuffles=theirs,
    )


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        header, *records = csv.reader(file)
    return header, records


ROWS = {"german": german}
