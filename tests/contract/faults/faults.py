"""One fault each: edits of sound.py, and the rule that finds it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: the rule that it breaks, and pairs of what stands in sound.py and what stands there instead."""

    rule: str
    edits: tuple[tuple[str, str], ...]


def fault(rule: str, *edits: str) -> Fault:
    return Fault(rule, tuple(zip(edits[::2], edits[1::2], strict=True)))


RENDER = "    spec, name = request.spec, request.name\n"
STATUS = "    live = observed.primary\n"
MODEL = '"model": spec.model.id,'


def importing(module: str) -> tuple[str, str]:
    return "import json\n", f"import json\nimport {module}\n"


FAULTS: dict[str, Fault] = {
    # ---- what is declared ----
    "the module cannot be imported": fault("package-whole", "import json\n", "import json\nimport no_such_module\n"),
    "the contract is another one": fault("package-whole", "contract=1", "contract=2"),
    "the import turns logging off": fault(
        "package-alone", "import json\n", "import json\nimport logging\n\nlogging.disable(logging.CRITICAL)\n"
    ),
    "the hardware that is declared is refused": fault(
        "declare-engines",
        'Engine(name="vllm", carries=CARRIES)',
        'Engine(name="vllm", carries=CARRIES, cpu=True)',
        "    if request.name[0].isdigit():",
        '    if not request.spec.resources.gpu.count:\n        yield Problem("spec.resources", "NoCpu", "add GPUs")\n'
        "    if request.name[0].isdigit():",
    ),
    "every kind is optional": fault(
        "declare-kinds",
        'surge=("spec.image",)\n',
        'surge=("spec.image",), optional=True\n',
        "kinds = (SERVER, MONITOR, SERVICE, CONFIG_MAP)",
        "kinds = (SERVER, MONITOR)",
        "before=(config,), after=tuple(after)",
        "after=tuple(after[1:])",
        "    if request.name[0].isdigit():",
        '    if SERVER not in request.versions:\n        yield Problem("spec.model", "NoServer", "install it")\n'
        "    if request.name[0].isdigit():",
    ),
    "a version that is declared is not rendered": fault(
        "declare-versions",
        RENDER,
        RENDER + '    if request.versions[SERVER] != "v1":\n        raise KeyError(request.versions[SERVER])\n',
    ),
    "a recreate path is misspelled": fault("declare-paths", 'recreate=("spec.model",)', 'recreate=("spec.modelId",)'),
    "a surge path is misspelled": fault("declare-paths", 'surge=("spec.image",)', 'surge=("spec.container.image",)'),
    "a rule is not boolean": fault("declare-rules", "spec.resources.gpu.count >= 8", "spec.resources.gpu.count + 8"),
    "a rule does not compile": fault("declare-rules", "spec.resources.gpu.count >= 8", "spec.resources.gpu.count >="),
    # ---- fields ----
    "a carried field is dropped": fault("carries-true", '        "nodeSelector": spec.node_selector,\n', ""),
    "a carried field is rendered by half": fault(
        "carries-true", '"env": spec.env,', '"env": [{"name": row.name, "value": row.value or ""} for row in spec.env],'
    ),
    "a field is carried and never looked at": fault(
        "carries-true", '        "scaling.replicas",\n', '        "scaling.replicas",\n        "tolerations",\n'
    ),
    "zero is taken for nothing": fault(
        "carries-true", '"count": spec.resources.gpu.count}', '"count": min(spec.resources.gpu.count, 1)}'
    ),
    "an override is ignored": fault("options-true", '        "eager": request.overrides.eager,\n', ""),
    "an override is not documented": fault("options-documented", '    """Load weights at once."""\n', ""),
    # ---- rendering ----
    "a kind is rendered that is not declared": fault("render-declared", "SERVICE, CONFIG_MAP)\n", "SERVICE)\n"),
    "two objects have one name": fault(
        "render-declared",
        "    if MONITOR in request.versions:",
        "    after.append(after[0])\n    if MONITOR in request.versions:",
    ),
    "a body has metadata": fault(
        "results-valid",
        'Manifest(SERVER, {"spec": server}',
        'Manifest(SERVER, {"spec": server, "metadata": {"namespace": "x"}}',
    ),
    "a label has the core's prefix": fault("results-valid", "labels=labels)", 'labels={"kubeairunway.ai/mine": "x"})'),
    "a hook gives nothing": fault(
        "results-valid",
        "    if request.name[0].isdigit():\n        yield Problem",
        "    return None\n\n\ndef _object(request: Request) -> Iterator[Problem]:\n        yield Problem",
    ),
    "a bid is too high": fault(
        "judge-types",
        "@hookimpl\ndef render",
        "@hookimpl\ndef select(request: Request) -> Bid:\n    return Bid(101, request.name)\n\n\n@hookimpl\ndef render",
        "    CONFIG_MAP,\n    SERVICE,\n",
        "    CONFIG_MAP,\n    SERVICE,\n    Bid,\n",
    ),
    "an optional kind is rendered where it is not served": fault(
        "render-served",
        "    if MONITOR in request.versions:\n        after",
        "    if request.versions[MONITOR]:\n        after",
    ),
    "the kind that exists is not kept": fault(
        "render-keeps",
        "    return Rendering(Manifest(SERVER",
        '    if request.primary is not None:\n        return Rendering(Manifest(MONITOR, {"spec": {"server": name}}))\n'
        "    return Rendering(Manifest(SERVER",
    ),
    "a namespace is fixed": fault("render-namespace", "request.namespace}", '"default"}'),
    "a name is cut short": fault("render-names", 'f"{name}-config"', 'f"{name[:20]}-config"'),
    "a model's id is made a label": fault(
        "render-labels",
        '"labels": {**pod.labels, **labels}',
        '"labels": {**pod.labels, **labels, "model": spec.model.id}',
    ),
    "the greatest number is too great": fault(
        "render-bounds",
        '        server["maxTokens"] = ',
        '        server["maxTokens"] = [8192][spec.engine.context_length > 10**9] and ',
    ),
    "letters are lost": fault(
        "render-texts", 'f"--{key}={value}"', 'f"--{key}={value}".encode("ascii", "ignore").decode()'
    ),
    "letters are normalised": fault(
        "render-texts",
        *importing("unicodedata"),
        "json.dumps(arguments)",
        'unicodedata.normalize("NFKC", json.dumps(arguments, ensure_ascii=False))',
    ),
    "YAML is written without quotes": fault(
        "render-texts",
        "arguments.json",
        "arguments.yaml",
        "json.dumps(arguments)",
        '"args:\\n" + "".join(f"- {text}\\n" for text in arguments)',
    ),
    "a field has the wrong type": fault(
        "render-schema", '"replicas": spec.scaling.replicas', '"replicas": str(spec.scaling.replicas)'
    ),
    "a field is unknown to upstream": fault("render-schema", MODEL, MODEL + ' "modelName": spec.model.id,'),
    "a required field is missing": fault(
        "render-schema",
        '"replicas": spec.scaling.replicas',
        '**({"replicas": spec.scaling.replicas} if spec.scaling.replicas else {})',
    ),
    "a port is no port": fault("render-schema", '"port": 8000}', '"port": "8000"}'),
    "a version is unknown to upstream": fault("render-schema", 'versions=("v1", "v1beta1")', 'versions=("v2", "v3")'),
    "the second rendering is another one": fault(
        "render-idle",
        '"cache": request.overrides.cache',
        '"cache": request.overrides.cache if request.primary is None else "kept"',
    ),
    "what exists is rendered otherwise": fault(
        "render-return",
        '"eager": request.overrides.eager',
        '"eager": request.overrides.eager or request.primary is not None',
    ),
    # ---- purity ----
    "calls are counted": fault(
        "pure",
        "@hookimpl\ndef render",
        "CALLS: list[int] = []\n\n\n@hookimpl\ndef render",
        MODEL,
        MODEL + ' "call": CALLS.append(1) or len(CALLS),',
    ),
    "the request is changed": fault(
        "pure-input", RENDER, RENDER + '    vars(spec.model)["id"] = spec.model.id.lower() + "!"\n'
    ),
    "the live object is changed": fault("pure-input", STATUS, STATUS + '    live.raw["seen"] = True\n'),
    "the order of a map is kept": fault("pure-order", "sorted(spec.engine.args.items())", "spec.engine.args.items()"),
    "the order of a set is used": fault(
        "pure-processes",
        "sorted(spec.engine.args.items())",
        "set({'a': 'b', **spec.engine.args, 'c': 'd', 'e': 'f', 'g': 'h'}.items())",
    ),
    "the first answer is remembered": fault(
        "pure-memory",
        "@hookimpl\ndef render",
        "SEEN: dict[str, str] = {}\n\n\n@hookimpl\ndef render",
        MODEL,
        '"model": SEEN.setdefault(name, spec.model.id),',
    ),
    "the environment is read": fault("pure-alone", *importing("os"), RENDER, RENDER + '    os.environ.get("HOME")\n'),
    "the clock is read": fault("pure-alone", *importing("time"), STATUS, STATUS + "    time.time()\n"),
    "the day is read": fault(
        "pure-alone", *importing("datetime"), STATUS, STATUS + "    datetime.datetime.now(datetime.UTC)\n"
    ),
    "a socket is made": fault("pure-alone", *importing("socket"), RENDER, RENDER + "    socket.socket().close()\n"),
    "a file is read": fault("pure-alone", RENDER, RENDER + "    open(__file__).close()\n"),
    "a thread is started": fault(
        "pure-alone", *importing("threading"), RENDER, RENDER + "    threading.Thread(target=len, args=('',)).start()\n"
    ),
    "a process is started": fault(
        "pure-alone", *importing("subprocess"), RENDER, RENDER + '    subprocess.run(["true"])\n'
    ),
    "chance is used": fault("pure-alone", *importing("random"), RENDER, RENDER + "    random.random()\n"),
    "a hook prints": fault("pure-alone", STATUS, STATUS + '    print("looking")\n'),
    "a hook is slow": fault("quick-median", RENDER, RENDER + "    sum(range(2_000_000))\n"),
    # ---- status ----
    "nothing is taken for running": fault("status-proof", "State.WAITING)\n", "State.RUNNING)\n"),
    "nothing is taken for a replica": fault("status-proof", '"status.readyReplicas", 0', '"status.readyReplicas", 1'),
    "conditions of null are a crash": fault(
        "status-total",
        '    message = live.condition("Healthy").get("message", "")',
        '    rows = live.raw.get("status", {}).get("conditions", [])\n'
        '    message = next((row["message"] for row in rows), "")',
    ),
    "a child of another shape is a crash": fault(
        "status-total",
        STATUS,
        STATUS + '    [row.raw["status"]["phase"] for row in observed.children.get(REPLICA, ())]\n',
    ),
    "an object that is gone is a crash": fault("status-total", STATUS, STATUS + '    observed.others[SERVICE, ""]\n'),
    "a negative count is passed on": fault(
        "status-total",
        'min(max(0, live.get("status.readyReplicas", 0)), desired)',
        'live.get("status.readyReplicas", 0)',
    ),
    "nothing is ever running": fault("status-reachable", '"Serving": State.RUNNING', '"Serving": State.PROGRESSING'),
    "any phase is running": fault(
        "status-honest",
        'STATES.get(live.get("status.phase", ""), State.WAITING)',
        'State.RUNNING if (live.raw.get("status") or {}).get("phase") else State.WAITING',
    ),
    "an older generation is passed off as this one": fault(
        "status-generation",
        'max(0, live.get("status.observedGeneration", 0))',
        'live.get("metadata.generation", 0) if live.get("status.phase", "") else 0',
    ),
    "replicas are taken for ready": fault(
        "status-counts",
        'ready = min(max(0, live.get("status.readyReplicas", 0)), desired)',
        "ready = desired if state is State.RUNNING else 0",
    ),
    "zero replicas never serve": fault(
        "status-zero", "    message = live", "    state = state if desired else State.WAITING\n    message = live"
    ),
    "a selector is cut short": fault("status-identity", "server={request.name}", "server={request.name[:20]}"),
    "a Service is cut short": fault("status-identity", "service=request.name,", "service=request.name[:20],"),
}
