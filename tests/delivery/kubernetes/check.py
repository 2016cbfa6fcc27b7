"""Checks the manifest for Kubernetes: check.py REPOSITORY BINARY.

Each rule takes the manifest's objects and raises AssertionError if it is broken. PLANTED breaks each rule on purpose: a rule that does not
notice is worthless.
"""

import copy
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml

REPOSITORY, BINARY = Path(sys.argv[1]), sys.argv[2]
MANIFEST = REPOSITORY / "docs/kubernetes/livestreamd.yaml"
SECRET = REPOSITORY / "docs/kubernetes/secret.example.yaml"
README = REPOSITORY / "docs/kubernetes/README.md"
# The oldest that the manifest promises, because of ReadWriteOncePod, and the newest whose schemas are installed.
VERSIONS = ("1.29", "1.34")
CONFIGURATION = "/etc/livestreamd/livestreamd.toml"
STATE_DIR = "/var/lib/livestreamd"
ALIVE = ["/usr/bin/livestreamd", "status", "--alive", "--quiet"]
READY = ["/usr/bin/livestreamd", "status", "--quiet"]
SIZES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
# Of the image: its user of that name.
USER = 10001


def one(objects, kind):
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def pod(objects):
    return one(objects, "StatefulSet")["spec"]["template"]["spec"]


def container(objects):
    (found,) = pod(objects)["containers"]
    return found


def configuration(objects):
    return tomllib.loads(one(objects, "ConfigMap")["data"][Path(CONFIGURATION).name])


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text)[1])


def size(text):
    """In bytes; as livestreamd writes it, or Kubernetes."""
    number, unit = re.fullmatch(r"(\d+)([KMGT]i)B?", text).groups()
    return int(number) * SIZES[unit + "B"]


def the_api_knows_every_field(objects):
    for each in objects:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(each, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                raise AssertionError(f"{each['kind']}, Kubernetes {version}: {error}") from error


def the_daemon_takes_the_configuration(objects):
    assert configuration(objects)["state_dir"] == STATE_DIR
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        files = one(objects, "ConfigMap")["data"] | one(objects, "Secret")["stringData"]
        for file, text in files.items():
            path = directory / file
            path.write_text(text)
            path.chmod(0o440)
        config = directory / Path(CONFIGURATION).name
        checked = subprocess.run([BINARY, "check", "--config", config], env={}, capture_output=True, text=True, check=False)
        assert checked.returncode == 0 and not checked.stderr, f"livestreamd check: {checked.returncode}\n{checked.stderr}"


def there_is_one_daemon(objects):
    stateful_set = one(objects, "StatefulSet")["spec"]
    assert stateful_set["replicas"] == 1
    assert stateful_set.get("updateStrategy", {}).get("type", "RollingUpdate") == "RollingUpdate"
    (claim,) = stateful_set["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert not [each for each in objects if each["kind"] in ("Deployment", "HorizontalPodAutoscaler")]


def the_labels_and_the_service_fit(objects):
    stateful_set, service = one(objects, "StatefulSet")["spec"], one(objects, "Service")
    labels = stateful_set["template"]["metadata"]["labels"]
    assert stateful_set["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    assert stateful_set["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["publishNotReadyAddresses"] is True
    (port,) = container(objects)["ports"]
    assert configuration(objects)["admin"]["listen"].endswith(f":{port['containerPort']}")
    assert [each["targetPort"] for each in service["spec"]["ports"]] == [port["name"]]
    assert service["metadata"]["name"] in configuration(objects)["admin"]["hosts"]


def what_a_stop_may_take(objects):
    """As src/app.rs and src/admin do it, one after the other."""
    app, admin = ((REPOSITORY / "src" / file).read_text() for file in ("app.rs", "admin/mod.rs"))
    limit = lambda source, name: int(re.search(rf"const {name}: Duration = Duration::from_secs\((\d+)\)", source)[1])
    after = limit(app, "LONGEST_LAST_SYNC") + limit(app, "LONGEST_CLOSE") + 2 * limit(admin, "LONGEST_END")
    return seconds(configuration(objects)["shutdown_timeout"]) + after


def a_stop_is_given_its_time(objects):
    assert pod(objects)["terminationGracePeriodSeconds"] >= what_a_stop_may_take(objects) + 5


def it_may_do_next_to_nothing(objects):
    spec = pod(objects)
    context, inner = spec["securityContext"], container(objects)["securityContext"]
    assert context["runAsNonRoot"] is True
    assert {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {USER}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner["readOnlyRootFilesystem"] is True and inner["allowPrivilegeEscalation"] is False
    assert inner["capabilities"] == {"drop": ["ALL"]}
    assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
    assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))


def nothing_restarts_it_because_it_is_not_ready(objects):
    probes = container(objects)
    assert probes["livenessProbe"]["exec"]["command"] == probes["startupProbe"]["exec"]["command"] == ALIVE
    assert probes["readinessProbe"]["exec"]["command"] == READY
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert probes[probe]["timeoutSeconds"] >= 10, "the command itself gives up after some seconds"
    startup = probes["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600


def files_are_mounted_where_they_are_looked_for(objects):
    assert container(objects)["args"] == ["run", "--config", CONFIGURATION]
    mounts = {mount["mountPath"]: mount for mount in container(objects)["volumeMounts"]}
    assert set(mounts) == {str(Path(CONFIGURATION).parent), STATE_DIR}
    # What is mounted by a subPath does not change while the pod runs.
    assert not any("subPath" in mount for mount in mounts.values())
    (claim,) = one(objects, "StatefulSet")["spec"]["volumeClaimTemplates"]
    assert mounts[STATE_DIR]["name"] == claim["metadata"]["name"]
    (volume,) = pod(objects)["volumes"]
    assert mounts[str(Path(CONFIGURATION).parent)]["name"] == volume["name"]
    sources = volume["projected"]["sources"]
    assert sources == [{"configMap": {"name": "livestreamd"}}, {"secret": {"name": "livestreamd"}}]
    for kind in ("ConfigMap", "Secret", "Service", "StatefulSet"):
        assert one(objects, kind)["metadata"]["name"] == "livestreamd"


def the_volume_is_large_enough(objects):
    config = configuration(objects)
    bounds = size(config["journal"]["max_bytes_in_all"]) + size(config["quarantine"]["max_bytes"])
    (claim,) = one(objects, "StatefulSet")["spec"]["volumeClaimTemplates"]
    storage = size(claim["spec"]["resources"]["requests"]["storage"])
    # A twentieth stays free, and a file system is smaller than its volume; 2 GiB for leases, ids and segments under way.
    assert storage * 0.9 >= bounds + 2 * SIZES["GiB"], f"{storage} for {bounds}"
    assert size(config["journal"]["max_bytes"]) <= size(config["journal"]["max_bytes_in_all"])


RULES = [
    the_api_knows_every_field,
    the_daemon_takes_the_configuration,
    there_is_one_daemon,
    the_labels_and_the_service_fit,
    a_stop_is_given_its_time,
    it_may_do_next_to_nothing,
    nothing_restarts_it_because_it_is_not_ready,
    files_are_mounted_where_they_are_looked_for,
    the_volume_is_large_enough,
]


def reconfigure(objects, before, after):
    data = one(objects, "ConfigMap")["data"]
    (name,) = data
    assert before in data[name]
    data[name] = data[name].replace(before, after)


PLANTED = [
    (the_api_knows_every_field, lambda o: pod(o).update(terminationGracePeriod=60)),
    (the_api_knows_every_field, lambda o: container(o)["livenessProbe"].update(timeoutSeconds="10")),
    (the_daemon_takes_the_configuration, lambda o: reconfigure(o, "[journal]", "[jurnal]")),
    (the_daemon_takes_the_configuration, lambda o: one(o, "Secret")["stringData"].pop("client_secret")),
    (the_daemon_takes_the_configuration, lambda o: reconfigure(o, "token_file", "#")),
    (there_is_one_daemon, lambda o: one(o, "StatefulSet")["spec"].update(replicas=2)),
    (the_labels_and_the_service_fit, lambda o: one(o, "Service")["spec"].update(publishNotReadyAddresses=False)),
    (the_labels_and_the_service_fit, lambda o: reconfigure(o, "0.0.0.0:9600", "0.0.0.0:9700")),
    (a_stop_is_given_its_time, lambda o: pod(o).update(terminationGracePeriodSeconds=30)),
    (a_stop_is_given_its_time, lambda o: reconfigure(o, '"25s"', '"40s"')),
    (it_may_do_next_to_nothing, lambda o: container(o)["securityContext"].update(readOnlyRootFilesystem=False)),
    (it_may_do_next_to_nothing, lambda o: pod(o)["securityContext"].update(runAsUser=0)),
    (nothing_restarts_it_because_it_is_not_ready, lambda o: container(o)["livenessProbe"]["exec"].update(command=READY)),
    (files_are_mounted_where_they_are_looked_for, lambda o: container(o)["volumeMounts"][0].update(subPath="livestreamd.toml")),
    (the_volume_is_large_enough, lambda o: reconfigure(o, "24GiB", "100GiB")),
]


def is_broken(rule, objects):
    try:
        rule(objects)
    except (AssertionError, KeyError, ValueError):
        return True
    return False


def main():
    objects = list(yaml.safe_load_all(MANIFEST.read_text()))
    if any(each["kind"] == "Secret" for each in objects):
        raise SystemExit("an apply of the manifest must not put secrets back: docs/kubernetes/secret.example.yaml has them")
    objects += yaml.safe_load_all(SECRET.read_text())
    for rule in RULES:
        rule(objects)
        print(f"ok  {rule.__name__}")
    for rule, plant in PLANTED:
        planted = copy.deepcopy(objects)
        plant(planted)
        assert is_broken(rule, planted), f"{rule.__name__} does not notice a fault that was planted"
    assert {rule for rule, _ in PLANTED} == set(RULES), "each rule has a fault planted for it"
    print(f"ok  {len(PLANTED)} faults that were planted are found")
    # The page that gives the reasons speaks of the numbers that are there.
    grace = pod(objects)["terminationGracePeriodSeconds"]
    assert f"{grace} s" in README.read_text(), f"docs/kubernetes/README.md does not speak of the {grace} s"


if __name__ == "__main__":
    os.umask(0o077)
    main()
