"""Scores rows with onnxruntime and prints how far its probabilities are from the expected ones.

Called by the test `onnx` as: onnx_runtime.py MODEL.onnx ROWS.json. ROWS holds {"columns": [{"name", "numeric",
"values"}], "expected": [..], "labels": [..]}; missing numbers are null, missing categories the empty string.
Prints {"worst": largest distance, "labels": how many labels differ}.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime

onnx.checker.check_model(onnx.load(sys.argv[1]), full_check=True)
with open(sys.argv[2], encoding="utf-8") as file:
    asked = json.load(file)
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
feeds = {}
for column in asked["columns"]:
    if column["numeric"]:
        cells = np.array([np.nan if cell is None else cell for cell in column["values"]], dtype=np.float64)
    else:
        cells = np.array(column["values"], dtype=object)
    feeds[column["name"]] = cells.reshape(-1, 1)
probability, label = session.run(["probability", "label"], feeds)
worst = np.abs(probability[:, 0] - np.array(asked["expected"])).max()
print(json.dumps({"worst": float(worst), "labels": int((label[:, 0] != np.array(asked["labels"], dtype=object)).sum())}))
