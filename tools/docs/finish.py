"""Completes the site that Zensical has built: each page also as Markdown, and llms.txt, which lists them for programs.
It fails if a page in the navigation is missing, if a page can't be reached, if an image is missing, or if the site is too large."""

import json
import pathlib
import re
import shutil
import sys
import tomllib

LARGEST = 5_000_000  # bytes of the whole site
DOCS = pathlib.Path("docs")
project = tomllib.loads(pathlib.Path("zensical.toml").read_text())["project"]
SITE = pathlib.Path(project["site_dir"])
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s#]+)")


def pages(entries):
    """The files of the navigation, in its order."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
            continue
        for below in entry.values():
            yield from [below] if isinstance(below, str) else pages(below)


def text(page):
    """The Markdown of a page, with the files that it includes, and without the comments that only tests read."""
    source = re.sub(r'^--8<-- "(.+)"$', lambda m: pathlib.Path(m[1]).read_text(), page.read_text(), flags=re.M)
    return re.sub(r"^<!--.*?-->\n", "", source, flags=re.M | re.S)


def summary(markdown):
    """The first paragraph of a page."""
    paragraphs = re.split(r"\n\s*\n", markdown)
    first = next((p for p in paragraphs if re.match(r"[A-Z*`\[]", p)), "")
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(first.split()))


def title(markdown):
    return re.search(r"^# (.+)$", markdown, flags=re.M)[1]


faults = []
sources = {page.relative_to(DOCS): text(page) for page in DOCS.rglob("*.md")}
listed = [pathlib.Path(name) for name in pages(project["nav"])]
faults += [f"zensical.toml: {page} is in the navigation, but missing" for page in listed if page not in sources]
linked = set(listed)
for page, markdown in sources.items():
    for image, target in LINK.findall(re.sub(r"^```.*?^```$", "", markdown, flags=re.M | re.S)):
        if "://" in target:
            continue
        path = (DOCS / page.parent / target).resolve().relative_to(DOCS.resolve())
        linked.add(path)
        if image and not (DOCS / path).exists():
            faults.append(f"docs/{page}: no image {target}")
faults += [f"docs/{page}: neither in the navigation nor linked from a page" for page in sources if page not in linked]

lines = [f"# {project['site_name']}", "", f"> {project['site_description']}", ""]
for page in [p for p in listed if p in sources] + sorted(set(sources) - set(listed)):
    # Zensical makes a folder's README its index.
    target = page.with_name("index.md") if page.name == "README.md" else page
    (SITE / target).write_text(sources[page])
    lines.append(f"- [{title(sources[page])}]({target}): {summary(sources[page])}")
(SITE / "llms.txt").write_text("\n".join(lines) + "\n")

# A column without a title has no header, since readers would hear an empty one. Half of each page is the indentation of the templates, and
# of the rest, a tenth would cut off titles in the navigation, all of which are short.
for page in SITE.rglob("*.html"):
    parts = re.split(r"(<pre.*?</pre>)", re.sub(r"<th([^>]*)></th>", r"<td\1></td>", page.read_text()), flags=re.S)
    whole = "".join(part if part.startswith("<pre") else re.sub(r"\s*\n\s*", "\n", part) for part in parts)
    # HTML needs no xmlns on pictures, and spaces in code need no markup.
    whole = re.sub(r'<span class="w">(\s*)</span>', r"\1", whole.replace(' xmlns="http://www.w3.org/2000/svg"', ""))
    page.write_text(re.sub(r'<span class="md-ellipsis">\n(.*|<span class="md-typeset">\n.*\n</span>)\n</span>', r"\1", whole))
shutil.rmtree(SITE / "assets/stylesheets/classic")  # of the theme's other variant

# The index of the search is there twice: for a site that is served, and for one that is opened from a folder, which works for both.
for bundle in SITE.glob("assets/javascripts/bundle.*.js"):
    script, found = re.subn(r'location\.protocol==="file:"(\?\w+\(`\$\{new URL\("search\.js")', r"true\1", bundle.read_text())
    if found == 1:
        bundle.write_text(script)
        (SITE / "search.json").unlink()

# The changelog has the words of all pages, so it would be found by every search.
index = SITE / "search.js"
name, _, value = index.read_text().partition("=")
value = json.loads(value.strip().rstrip(";"))
value["items"] = [item for item in value["items"] if not item["location"].startswith("changelog.html")]
index.write_text(f"{name}={json.dumps(value, ensure_ascii=False, separators=(',', ':'))};")

size = sum(f.stat().st_size for f in SITE.rglob("*") if f.is_file())
if size > LARGEST:
    faults.append(f"the site has {size} bytes, more than {LARGEST}")
for fault in faults:
    print("error:", fault, file=sys.stderr)
print(f"{SITE}: {len(sources)} pages, {size / 1e6:.1f} MB")
sys.exit(bool(faults))
