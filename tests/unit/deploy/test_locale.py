"""Models that read texts find the locale that ONNX Runtime asks for wherever it runs."""

import os
import subprocess
import sys

import yaml
from headrace_stack.settings import read

from tests.kit.deployment import compose_file
from tests.kit.deployment.topology import CHECKOUT

# What ONNX Runtime's StringNormalizer does: a locale of all categories by this name.
MADE = (
    "import ctypes; libc = ctypes.CDLL(None); libc.newlocale.restype = ctypes.c_void_p; "
    "assert libc.newlocale({}, b'{}', None)"
)
ALL_CATEGORIES = 0x1FBF
LINK = "ln -sfn /usr/lib/locale/C.utf8 /tmp/en_US.utf8"


def test_processes_of_the_stack_can_make_the_locale():
    variables = {**os.environ, **read().python_environment}
    subprocess.run([sys.executable, "-c", MADE.format(ALL_CATEGORIES, "en_US.UTF-8")], env=variables, check=True)


def test_the_link_in_the_checkout_names_a_locale_of_the_system():
    link = CHECKOUT / "deploy" / "locale" / "en_US.utf8"
    assert os.readlink(link) == "/usr/lib/locale/C.utf8"


def test_images_have_the_link_where_locales_are():
    dockerfile = (CHECKOUT / "deploy" / "service.Dockerfile").read_text()
    service = dockerfile.partition("AS service\n")[2].partition("\nFROM")[0]
    assert "ln -s C.utf8 /usr/lib/locale/en_US.utf8" in service


def test_nvidias_image_makes_the_link_before_triton_starts():
    in_compose = compose_file.read(CHECKOUT / "docker-compose.yml")["services"]["triton-gpu"]
    text = (CHECKOUT / "deploy" / "kubernetes" / "components" / "gpu" / "batcher.yaml").read_text()
    (in_kubernetes,) = yaml.safe_load(text)["spec"]["template"]["spec"]["initContainers"]
    assert in_compose["environment"]["LOCPATH"] == "/tmp"
    assert {"name": "LOCPATH", "value": "/tmp"} in in_kubernetes["env"]
    for started, dollar in ((in_compose["command"], "$$"), (in_kubernetes["command"], "$")):
        assert started[:4] == ["sh", "-c", f'{LINK} && exec tritonserver "{dollar}@"', "tritonserver"]
