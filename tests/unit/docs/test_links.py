"""Documents point at what exists, and the first ones that people read stay short."""

import re
from pathlib import Path

from tests.kit.deployment.topology import CHECKOUT
from tests.kit.rows import each

FOLDERS = ("benchmarks", "deploy", "docs", "examples", "libs", "protos", "services", "tests")
PAGES = sorted(
    path.relative_to(CHECKOUT)
    for path in (*CHECKOUT.glob("*.md"), *(page for folder in FOLDERS for page in (CHECKOUT / folder).rglob("*.md")))
)
SERVICES = [*sorted((CHECKOUT / "services").glob("*/README.md")), CHECKOUT / "deploy" / "envoy" / "README.md"]


def anchors(page: Path) -> set[str]:
    """Return what can stand behind # in a link to a page, as GitHub makes it of headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each("page", PAGES)
def test_links_within_the_checkout_lead_somewhere(page: Path):
    broken = []
    for path, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", (CHECKOUT / page).read_text(encoding="utf-8")):
        if "://" in path or not (path or anchor):
            continue
        target = (CHECKOUT / page).parent / path if path else CHECKOUT / page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


@each("readme", SERVICES)
def test_the_readme_of_a_service_begins_with_what_it_owns_who_calls_it_and_what_breaks_without_it(readme: Path):
    begin = readme.read_text(encoding="utf-8").partition("\n## ")[0]
    assert re.search(r"^\*\*Owns\*\*\s.*\*\*Called by\*\*\s.*\*\*Without\s", begin, flags=re.MULTILINE | re.DOTALL)


def test_the_first_page_is_short():
    assert len((CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100
