"""Proves what schemas cannot say of the rendered Kubernetes example: that the parts fit together."""

import sys

import yaml

documents = {(one["kind"], one["metadata"]["name"].rsplit("-", 1)[0]): one for one in yaml.safe_load_all(open(sys.argv[1]))}
named = {(one["kind"], one["metadata"]["name"]): one for one in documents.values()}
deployment = next(one for (kind, _), one in documents.items() if kind == "Deployment")
service = next(one for (kind, _), one in documents.items() if kind == "Service")
policy = next(one for (kind, _), one in documents.items() if kind == "NetworkPolicy")
config = documents["ConfigMap", "vestibule-config"]
secret = documents["Secret", "vestibule-secrets"]
keys = named["Secret", "vestibule-keys"]
template = deployment["spec"]["template"]
pod = template["spec"]
[sidecar] = [one for one in pod["initContainers"] if one["name"] == "vestibule"]
ports = {port["name"]: port["containerPort"] for port in sidecar["ports"]}

assert sidecar["restartPolicy"] == "Always", "it is no sidecar"
assert [port["targetPort"] for port in service["spec"]["ports"]] == [ports["vestibule"]], "the Service goes elsewhere"
assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items(), "the policy is for nobody"
allowed = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
assert allowed == set(ports.values()), "the policy opens other ports"
for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
    assert sidecar[probe]["httpGet"]["port"] in ports, f"{probe} asks a port that is not there"

context = sidecar["securityContext"]
assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
assert context["capabilities"] == {"drop": ["ALL"]} and context["seccompProfile"] == {"type": "RuntimeDefault"}
assert context["runAsUser"] == pod["securityContext"]["fsGroup"], "the Secret's files are closed to it"

# Generated names carry a hash; the volumes must follow them, or a change reaches nobody.
volumes = {volume["name"]: volume for volume in pod["volumes"]}
assert volumes["vestibule-config"]["configMap"]["name"] == config["metadata"]["name"]
assert volumes["vestibule-secrets"]["secret"]["secretName"] == secret["metadata"]["name"]
assert volumes["vestibule-secrets"]["secret"]["defaultMode"] == 0o440
# The sealing keys do not: they reach the pods that run.
assert volumes["vestibule-keys"]["secret"] == {"secretName": keys["metadata"]["name"], "defaultMode": 0o440}
mounts = {mount["name"]: mount for mount in sidecar["volumeMounts"]}
assert all("subPath" not in mount and mount["readOnly"] for mount in mounts.values())
toml = config["data"]["vestibule.toml"]
for name in secret["data"]:
    assert f'"{mounts["vestibule-secrets"]["mountPath"]}/{name}"' in toml, f"the configuration does not name {name}"
assert f'key_files = ["{mounts["vestibule-keys"]["mountPath"]}"]' in toml, "the configuration names other keys"
print("the rendered parts fit together")
