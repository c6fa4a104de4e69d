"""What was measured on, and with which versions of what."""

import ctypes
import os
import platform
from pathlib import Path

import adbc_driver_postgresql
import onnxruntime
import psycopg
import sklearn
import torch


def machine(connection):
    blas = ctypes.CDLL("libopenblas.so.0")
    blas.openblas_get_corename.restype = ctypes.c_char_p
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": platform.release(),
        "openblas_kernel": blas.openblas_get_corename().decode(),
        "server": connection.execute("SHOW server_version").fetchone()[0],
        "torch": torch.__version__,
        "torch_blas": "MKL" if torch.backends.mkl.is_available() else "OpenBLAS",
        "onnxruntime": onnxruntime.__version__,
        "scikit_learn": sklearn.__version__,
        "psycopg": psycopg.__version__,
        "adbc": adbc_driver_postgresql.__version__,
    }
