"""FastAPI and uvicorn, the model called in the handler: what one writes first. Run as a process."""

from __future__ import annotations

import os
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.systems import port, workload

WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))
SERVING = workload()
PREDICT = SERVING.load()
app = FastAPI()


class Numbers(BaseModel):
    input: list[float]


class Encoded(BaseModel):
    input: str


Query = Encoded if SERVING.input_type == "bytes" else Numbers


@app.post("/predict")
async def predict(query: Query) -> dict[str, Any]:  # type: ignore[valid-type]
    return {"output": PREDICT([SERVING.decode(query.input)])[0]}  # type: ignore[attr-defined]


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.systems.fastapi:app",
        host="127.0.0.1",
        port=port(),
        workers=WORKERS,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
