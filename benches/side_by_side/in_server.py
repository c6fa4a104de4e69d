"""PyTorch inside the server, by PL/Python: a function of a row, and one of many rows."""

import io

import torch
from samples import COLUMNS, FEATURES

# Loads the network once a session, from a table, and leaves it in GD.
LOAD = """
if 'network' not in GD:
    import sys
    sys.path[:0] = %(packages)r
    import io, numpy, torch
    torch.set_num_threads(2)
    state = torch.load(io.BytesIO(plpy.execute("SELECT state FROM torch_model")[0]['state']))
    layers = []
    for name in ('fc1', 'fc2', 'fc3'):
        outputs, inputs = state[name + '.weight'].shape
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        layers[-2].load_state_dict({key: state[name + '.' + key] for key in ('weight', 'bias')})
    layers[-1] = torch.nn.Sigmoid()
    GD['network'], GD['torch'], GD['numpy'] = torch.nn.Sequential(*layers), torch, numpy
network, torch, numpy = GD['network'], GD['torch'], GD['numpy']
"""
ROW = """
with torch.inference_mode():
    return network(torch.tensor(x))[0].item()
"""
ROWS = """
x = numpy.array(x, dtype=numpy.float32).T.copy()
with torch.inference_mode():
    return network(torch.from_numpy(x))[:, 0].tolist()
"""


def install(bench):
    """Makes torch_row(x0, …) of a row and torch_rows(x0[], …) of many, of the network predict_64."""
    if bench.exists("torch_model"):
        return
    state = io.BytesIO()
    torch.save(bench.network().state_dict(), state)
    bench.execute("CREATE EXTENSION plpython3u")
    bench.execute("CREATE TABLE torch_model (state bytea)")
    bench.execute("INSERT INTO torch_model VALUES (%s)", (state.getvalue(),))
    load = LOAD % {"packages": [bench.arguments.server_packages]}
    for name, kind, body in (("torch_row", "float8", ROW), ("torch_rows", "float8[]", ROWS)):
        parameters = ", ".join(f"{feature} {kind}" for feature in FEATURES)
        bench.execute(
            f"CREATE FUNCTION {name}({parameters}) RETURNS {kind} LANGUAGE plpython3u STABLE "
            f"AS $python${load}x = [{COLUMNS}]{body}$python$"
        )


def by_row(table):
    """A query of ids and scores, a call a row."""
    return f"SELECT id, torch_row({COLUMNS}) AS score FROM {table}"


def by_chunk(table):
    """A query of ids and scores, a call for every 8192 rows: faster than a cursor in Python, or an array of arrays."""
    arrays = ", ".join(f"array_agg({name})" for name in FEATURES)
    return (
        f"SELECT unnest(array_agg(id)) AS id, unnest(torch_rows({arrays})) AS score FROM {table} GROUP BY id / 8192"
    )
