"""The systems that are compared, and what each needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.dialects import BATCH_OF_ONE, FIELD, OPEN_INFERENCE, Dialect
from benchmarks.environments import OURS
from benchmarks.workloads import WORKLOADS

NUMPY = "numpy==2.4.6"
EVERYTHING = tuple(WORKLOADS)
BASICS = ("sum", "no-op-784")


@dataclass(frozen=True, slots=True)
class System:
    """One of the servers: the program that runs it, its environment, its HTTP.

    Args:
        requirements: for pip; none means the environment of this process.
        with_models: what its environment needs for the workloads with models, beside their libraries.
        light: costs next to nothing when nobody asks, so that it may stay up while others are measured.
        checked: answers are outputs, which can be right or wrong (the echo's are not).
        note: how it is set up, for the report.
        start_seconds: the longest it may take until the first right answer.
    """

    name: str
    title: str
    program: str
    workloads: tuple[str, ...]
    requirements: tuple[str, ...] = ()
    path: str = "/predict"
    dialect: Dialect = FIELD
    light: bool = False
    checked: bool = True
    note: str = ""
    start_seconds: float = 60.0
    variables: dict[str, str] = field(default_factory=dict)

    def needs(self, workload: str) -> tuple[str, ...]:
        """The requirements of its environment for this workload."""
        extra = WORKLOADS[workload].requirements
        if not extra:
            return self.requirements
        own = self.requirements or (OURS,)
        return tuple(dict.fromkeys((*own, *extra)))


def _peer(name: str, title: str, *requirements: str, **about: object) -> System:
    about.setdefault("workloads", BASICS)
    return System(name, title, f"benchmarks.systems.{name}", requirements=requirements, **about)  # type: ignore[arg-type]


SYSTEMS = {
    each.name: each
    for each in (
        _peer(
            "clipper",
            "Clipper",
            workloads=EVERYTHING,
            path="/bench/predict",
            light=True,
            note="one query frontend, one replica, batch size learned, SLO 100 ms (models, images: 1 s), cache off",
        ),
        System(
            "clipper_2",
            "Clipper, 2 frontends",
            "benchmarks.systems.clipper",
            BASICS,
            path="/bench/predict",
            light=True,
            variables={"BENCH_FRONTENDS": "2"},
            note="the same with two query frontends on the port",
        ),
        System(
            "prototype",
            "bare prototype",
            "benchmarks.prototype",
            ("sum",),
            light=True,
            note="uvloop, httptools, batches over a Unix socket to one process, nothing else",
        ),
        System(
            "relay",
            "bare two-process echo",
            "benchmarks.relay",
            ("sum",),
            light=True,
            checked=False,
            note="uvloop, httptools, a Unix socket to a process that sends the body back",
        ),
        System(
            "echo",
            "bare echo",
            "benchmarks.floor",
            BASICS,
            light=True,
            checked=False,
            note="uvloop and httptools; sends the body back",
        ),
        _peer(
            "mosec",
            "mosec",
            "mosec==0.9.8",
            NUMPY,
            workloads=EVERYTHING,
            path="/inference",
            light=True,
            note="Rust front, one Python worker, batches of up to 64, waits 1 ms for more",
        ),
        System(
            "mosec_2",
            "mosec, 2 workers",
            "benchmarks.systems.mosec",
            BASICS,
            ("mosec==0.9.8", NUMPY),
            path="/inference",
            light=True,
            variables={"BENCH_WORKERS": "2"},
            note="the same with two Python workers",
        ),
        _peer(
            "fastapi",
            "FastAPI",
            "fastapi==0.165.0",
            "uvicorn==0.54.0",
            "httptools==0.9.0",
            "uvloop==0.23.0",
            NUMPY,
            workloads=EVERYTHING,
            light=True,
            note="uvicorn with uvloop and httptools, the model called in the handler: what one writes first",
        ),
        System(
            "fastapi_2",
            "FastAPI, 2 workers",
            "benchmarks.systems.fastapi",
            BASICS,
            ("fastapi==0.165.0", "uvicorn==0.54.0", "httptools==0.9.0", "uvloop==0.23.0", NUMPY),
            light=True,
            variables={"BENCH_WORKERS": "2"},
            note="the same with two workers",
        ),
        _peer(
            "triton",
            "Triton",
            "nvidia-pytriton==0.7.0",
            "numpy==1.26.4",
            path="/v2/models/bench/infer",
            dialect=OPEN_INFERENCE,
            note="Python backend, one instance, dynamic batching up to 64; body of the Open Inference Protocol",
        ),
        _peer(
            "mlserver",
            "MLServer",
            "mlserver==1.7.1",
            path="/v2/models/bench/infer",
            dialect=OPEN_INFERENCE,
            note="batches of up to 64, waits 1 ms, model in the server's process; Open Inference Protocol",
        ),
        _peer(
            "litserve",
            "LitServe",
            "litserve==0.2.19",
            NUMPY,
            note="two API servers, one worker, batches of up to 64, waits 1 ms, fast_queue",
        ),
        _peer(
            "bentoml",
            "BentoML",
            "bentoml==1.4.39",
            NUMPY,
            dialect=BATCH_OF_ONE,
            note="two workers, batchable API up to 64",
        ),
        _peer(
            "ray_serve",
            "Ray Serve",
            "ray[serve]==2.60.0",
            NUMPY,
            start_seconds=180.0,
            variables={"RAY_USAGE_STATS_ENABLED": "0", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
            note="one proxy, one replica, serve.batch up to 64, waits 1 ms, throughput-optimized settings",
        ),
    )
}
