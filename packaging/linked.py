"""What is linked into livestreamd: the one list behind the SBOM and the licences.

Crates come from cargo: the normal dependencies of the default features, without build and test dependencies, without procedural macros.
What is compiled from C comes with some of these crates; cargo knows nothing of it, so it is listed here, and its versions are read from its
sources. The Rust standard library is linked too. Needs cargo, python3 and fetched crates (`cargo fetch --locked`), and no network.
"""

import json
import os
import re
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

# The crates that are the way to something in C, and one that only bears such a name.
BINDINGS = {"curl-sys", "libz-sys", "openssl-sys", "rdkafka-sys", "zstd-sys", "linux-raw-sys"}
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Part:
    """Something that is linked."""

    name: str
    version: str
    licence: str  # an SPDX expression
    purl: str
    home: str = ""
    description: str = ""
    sha256: str = ""  # of the crate, as in Cargo.lock
    cpe: str = ""  # as lists of vulnerabilities call it
    texts: list[Path] = field(default_factory=list)  # files with its licence
    needs: list[str] = field(default_factory=list)  # purls

    @property
    def key(self):
        return (self.name, self.version, self.purl)


def parts(target=None):
    """livestreamd itself, and everything that is linked into it, in order of name."""
    target = target or host()
    crates = Crates(target)
    linked = crates.linked()
    root = linked.pop(crates.root)
    others = [*linked.values(), *from_c(crates, linked), rust()]
    root.needs.append(others[-1].purl)
    return root, sorted(others, key=lambda part: part.key)


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


def rustc_says(key):
    return re.search(rf"^{key}: (.*)$", run("rustc", "-vV"), re.MULTILINE)[1]


def host():
    return rustc_says("host")


class Crates:
    """What cargo knows."""

    def __init__(self, target):
        self.target = target
        told = run("cargo", "metadata", "--format-version=1", "--locked", "--offline", f"--filter-platform={target}")
        self.known = {(one["name"], one["version"]): one for one in json.loads(told)["packages"]}
        lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
        self.sums = {(one["name"], one["version"]): one.get("checksum", "") for one in lock["package"]}
        manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
        self.root = (manifest["name"], manifest["version"])

    def linked(self):
        """The crates of the program, with what each needs. `cargo tree` and not the graph of `cargo metadata`, because that adds the
        features that tests ask for."""
        told = run(
            "cargo", "tree", "--locked", "--offline", f"--target={self.target}", "--edges=normal,no-proc-macro", "--prefix=depth",
            "--format= {p}",
        )  # fmt: skip
        linked, above = {}, []
        for line in told.splitlines():
            depth, name, version = re.match(r"(\d+) (\S+) v(\S+)", line).groups()
            key = (name, version)
            part = linked.get(key) or self.part(key)
            linked[key] = part
            del above[int(depth) :]
            if above and part.purl not in above[-1].needs:
                above[-1].needs.append(part.purl)
            above.append(part)
        return linked

    def part(self, key):
        crate = self.known[key]
        return Part(
            name=key[0],
            version=key[1],
            licence=expression(crate["license"]),
            purl=f"pkg:cargo/{key[0]}@{key[1].replace('+', '%2B')}",
            home=crate["repository"] or crate["homepage"] or "",
            description=" ".join((crate["description"] or "").split()),
            sha256=self.sums.get(key, ""),
            texts=licence_files(self.directory(key)),
        )

    def directory(self, key):
        return Path(self.known[key]["manifest_path"]).parent

    def named(self, name):
        """The one crate of this name: its version and where it is."""
        found = [key for key in self.known if key[0] == name]
        if len(found) != 1:
            raise SystemExit(f"there should be one crate {name}, and there are {len(found)}: change packaging/linked.py")
        return found[0][1], self.directory(found[0])


def expression(licence):
    """SPDX as it is written today: older crates have a slash for OR."""
    if not licence:
        raise SystemExit("a crate names no licence: see `cargo deny check licenses`")
    return re.sub(r"\s*/\s*", " OR ", licence)


def licence_files(directory):
    wanted = re.compile(r"licen[sc]e|copying|copyright|notice|^patents", re.IGNORECASE)
    sources = {".rs", ".py", ".sh", ".json", ".toml"}
    return sorted(one for one in directory.iterdir() if one.is_file() and wanted.search(one.name) and one.suffix not in sources)


def from_c(crates, linked):
    """What is compiled from C into some crates. Each is entered as something that its crate needs."""
    bindings = {name for name, _ in linked if name.endswith("-sys")}
    if bindings != BINDINGS:
        raise SystemExit(f"other crates bring C than packaging/linked.py knows: {sorted(bindings ^ BINDINGS)}")

    def add(needed_by, **what):
        part = Part(**what)
        crate = next(one for one in linked.values() if one.name == needed_by)
        crate.needs.append(part.purl)
        return part

    version, directory = crates.named("openssl-src")
    openssl = directory / "openssl"
    release = dict(re.findall(r'^(MAJOR|MINOR|PATCH)=(\d+)$', (openssl / "VERSION.dat").read_text(), re.MULTILINE))
    release = f"{release['MAJOR']}.{release['MINOR']}.{release['PATCH']}"
    if not version.endswith(f"+{release}"):
        raise SystemExit(f"openssl-src {version} holds OpenSSL {release}: which is it?")
    yield add(
        "openssl-sys", name="openssl", version=release, licence="Apache-2.0", purl=f"pkg:generic/openssl@{release}",
        home="https://openssl-library.org", cpe=cpe("openssl", "openssl", release), texts=[openssl / "LICENSE.txt"],
        description="TLS to Kafka; compiled by the crate openssl-src",
    )  # fmt: skip

    version, directory = crates.named("libz-sys")
    zlib = directory / "src/zlib"
    release = first(r'#define ZLIB_VERSION "([^"]+)"', zlib / "zlib.h")
    yield add(
        "libz-sys", name="zlib", version=release, licence="Zlib", purl=f"pkg:generic/zlib@{release}", home="https://zlib.net",
        cpe=cpe("zlib", "zlib", release), texts=[zlib / "LICENSE"], description="gzip in librdkafka",
    )  # fmt: skip

    version, directory = crates.named("zstd-sys")
    release = ".".join(first(rf"#define ZSTD_VERSION_{one}\s+(\d+)", directory / "zstd/lib/zstd.h") for one in ("MAJOR", "MINOR", "RELEASE"))
    yield add(
        "zstd-sys", name="zstd", version=release, licence="BSD-3-Clause OR GPL-2.0-only", purl=f"pkg:github/facebook/zstd@v{release}",
        home="https://github.com/facebook/zstd", cpe=cpe("facebook", "zstandard", release), texts=[directory / "zstd/LICENSE"],
        description="zstd in librdkafka; used under BSD-3-Clause",
    )  # fmt: skip

    version, directory = crates.named("curl-sys")
    curl = directory / "curl"
    release = first(r'#define LIBCURL_VERSION "([0-9.]+)', curl / "include/curl/curlver.h")
    yield add(
        "curl-sys", name="curl", version=release, licence="curl", purl=f"pkg:generic/curl@{release}", home="https://curl.se/libcurl",
        cpe=cpe("haxx", "libcurl", release), texts=[curl / "COPYING"], description="libcurl: OAuth tokens for librdkafka",
    )  # fmt: skip

    version, directory = crates.named("rdkafka-sys")
    librdkafka = directory / "librdkafka"
    release = version.split("+")[1]
    kafka = add(
        "rdkafka-sys", name="librdkafka", version=release, licence="BSD-2-Clause",
        purl=f"pkg:github/confluentinc/librdkafka@v{release}", home="https://github.com/confluentinc/librdkafka",
        cpe=cpe("confluent", "librdkafka", release), texts=[librdkafka / "LICENSES.txt"], description="The Kafka client",
    )  # fmt: skip
    for part in bundled(librdkafka):
        kafka.needs.append(part.purl)
        yield part
    yield kafka


def bundled(librdkafka):
    """What librdkafka brings of others: its LICENSES.txt has all the texts. What is not compiled on Linux is left out: regexp, wingetopt."""
    text = librdkafka / "LICENSES.txt"
    listed = set(re.findall(r"^LICENSE\.(\w+)$", text.read_text(), re.MULTILINE))
    source = librdkafka / "src"
    lz4 = ".".join(first(rf"#define LZ4_VERSION_{one}\s+(\d+)", source / "lz4.h") for one in ("MAJOR", "MINOR", "RELEASE"))
    cjson = ".".join(first(rf"#define CJSON_VERSION_{one}\s+(\d+)", source / "cJSON.h") for one in ("MAJOR", "MINOR", "PATCH"))
    nanopb = first(r'#define NANOPB_VERSION "nanopb-([^"]+)"', source / "nanopb/pb.h")
    # Where the sources name no version, it is that of librdkafka: changes come with it.
    with_it = re.search(r"RD_KAFKA_VERSION\s+0x(\w\w)(\w\w)(\w\w)", (source / "rdkafka.h").read_text())
    with_it = "librdkafka-" + ".".join(str(int(one, 16)) for one in with_it.groups())
    known = {
        "cjson": ("cJSON", cjson, "MIT", cpe("cjson_project", "cjson", cjson)),
        "crc32c": ("crc32c.c", "1.1", "Zlib", ""),
        "fnv1a": ("fnv1a", with_it, "LicenseRef-public-domain", ""),
        "hdrhistogram": ("hdrhistogram", with_it, "MIT", ""),
        "lz4": ("lz4", lz4, "BSD-2-Clause", cpe("lz4_project", "lz4", lz4)),
        "murmur2": ("murmur2", with_it, "MIT", ""),
        "nanopb": ("nanopb", nanopb, "Zlib", cpe("nanopb_project", "nanopb", nanopb)),
        "opentelemetry": ("opentelemetry-proto", with_it, "Apache-2.0", ""),
        "pycrc": ("pycrc", with_it, "MIT", ""),
        "queue": ("queue.h", with_it, "BSD-3-Clause", ""),
        "snappy": ("snappy-c", with_it, "BSD-3-Clause", ""),
        "tinycthread": ("tinycthread", with_it, "Zlib", ""),
    }
    if listed != set(known) | {"regexp", "wingetopt"}:
        raise SystemExit(f"librdkafka brings other parts than packaging/linked.py knows: {sorted(listed)}")
    for name, version, licence, its_cpe in known.values():
        yield Part(
            name=name, version=version, licence=licence, purl=f"pkg:generic/{name}@{version}", cpe=its_cpe, texts=[text],
            description="Bundled with librdkafka",
        )  # fmt: skip


def rust():
    """The standard library, with what it is made of: the toolchain has a page with all its licences."""
    release, commit = rustc_says("release"), rustc_says("commit-hash")
    page = Path(run("rustc", "--print=sysroot").strip()) / "share/doc/rust/COPYRIGHT-library.html"
    return Part(
        name="rust-std", version=release, licence="MIT OR Apache-2.0", purl=f"pkg:generic/rust-std@{release}?vcs_url=git%2Bhttps://github.com/rust-lang/rust%40{commit}",
        home="https://github.com/rust-lang/rust", cpe=cpe("rust-lang", "rust", release), texts=[page],
        description="The Rust standard library",
    )  # fmt: skip


def cpe(vendor, product, version):
    return f"cpe:2.3:a:{vendor}:{product}:{version}:*:*:*:*:*:*:*"


def first(pattern, path):
    found = re.search(pattern, path.read_text())
    if not found:
        raise SystemExit(f"{path} says no version: change packaging/linked.py")
    return found[1]


def write(path, text):
    """Writes all or nothing: a half-written file must not be shipped."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
