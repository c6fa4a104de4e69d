"""Writes digits.csv.gz from scikit-learn's copy of the data: python3 make_digits.py

Each image becomes an array literal that PostgreSQL reads as integer[] or real[] of 8 × 8. The same
bytes come out each time.
"""

import gzip
from pathlib import Path

from sklearn.datasets import load_digits

digits = load_digits()
lines = ["id,pixels,digit"]
for number, (image, digit) in enumerate(zip(digits.images.astype(int), digits.target, strict=True), 1):
    rows = ",".join("{" + ",".join(map(str, row)) + "}" for row in image)
    lines.append(f'{number},"{{{rows}}}",{digit}')
text = ("\n".join(lines) + "\n").encode()
with (
    Path(__file__).with_name("digits.csv.gz").open("wb") as file,
    gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as compressed,
):
    compressed.write(text)
