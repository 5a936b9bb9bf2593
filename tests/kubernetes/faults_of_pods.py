"""Faults in what a Pod may do, and where its passwords are."""

from __future__ import annotations

from kubernetes.fault import Fault, container, mount, plan, pod, variable, volume

FAULTS = [
    Fault("pods_are_locked_down", lambda m: pod(m)["securityContext"].pop("runAsNonRoot"), "root"),
    Fault("pods_are_locked_down", lambda m: pod(m, "api")["securityContext"].update(runAsUser=0), "root"),
    Fault("pods_are_locked_down", lambda m: pod(m)["securityContext"].pop("seccompProfile"), "seccomp"),
    Fault("pods_are_locked_down", lambda m: pod(m, "bot").pop("automountServiceAccountToken"), "automount"),
    Fault("pods_are_locked_down", lambda m: pod(m, "bot").pop("enableServiceLinks"), "enableServiceLinks"),
    Fault("pods_are_locked_down", lambda m: pod(m).update(hostNetwork=True), "hostNetwork"),
    Fault(
        "pods_are_locked_down",
        lambda m: pod(m)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        "folder of the host",
    ),
    Fault(
        "containers_are_locked_down",
        lambda m: container(m)["securityContext"].pop("allowPrivilegeEscalation"),
        "allowPrivilegeEscalation",
    ),
    Fault(
        "containers_are_locked_down",
        lambda m: container(m, "api")["securityContext"].update(readOnlyRootFilesystem=False),
        "readOnlyRootFilesystem",
    ),
    Fault(
        "containers_are_locked_down",
        lambda m: container(m, "api")["securityContext"]["capabilities"].update(add=["NET_RAW"]),
        "capabilities",
    ),
    Fault(
        "containers_are_locked_down",
        lambda m: container(m, "postgres")["securityContext"].update(runAsUser=0),
        "takes back",
    ),
    Fault(
        "containers_say_what_they_take",
        lambda m: container(m, "bot", 1)["resources"].pop("requests"),
        "requests are missing",
    ),
    Fault(
        "containers_say_what_they_take",
        lambda m: container(m, "bot", 0)["resources"]["limits"].pop("memory"),
        "limit of memory",
    ),
    Fault("temporary_files_are_in_memory", lambda m: volume(m, "tmp")["emptyDir"].pop("medium"), "in memory"),
    Fault("temporary_files_are_in_memory", lambda m: mount(m, "tmp").update(mountPath="/var/tmp"), "/tmp"),
    Fault("temporary_files_are_in_memory", lambda m: volume(m, "tmp")["emptyDir"].pop("sizeLimit"), "bounded"),
    Fault("images_have_a_tag", lambda m: container(m, "postgres").update(image="postgres"), "no tag"),
    Fault("images_have_a_tag", lambda m: container(m).update(image="registry:5000/app:latest"), "no tag"),
    Fault(
        "no_secret_in_a_manifest",
        lambda m: plan(m, "${secret:database-password|url}", "hunter2"),
        "ConfigMap init-plan",
    ),
    Fault(
        "no_secret_in_a_manifest",
        lambda m: plan(m, "timeout: 15m", "timeout: 15m\nx-password: hunter2"),
        "ConfigMap init-plan",
    ),
    Fault("no_secret_in_a_manifest", lambda m: variable(m, "DATABASE_PASSWORD", "hunter2"), "DATABASE_PASSWORD"),
    Fault(
        "no_secret_in_a_manifest",
        lambda m: variable(m, "RABBITMQ_URL", "amqp://scheduler:hunter2@rabbitmq:5672", "bot", 1),
        "RABBITMQ_URL",
    ),
    Fault(
        "no_secret_in_a_manifest",
        lambda m: container(m).update(command=["inithold", "wait", "postgresql://app:hunter2@postgres/x"]),
        "in the command",
    ),
    Fault(
        "secrets_are_there_and_readable",
        lambda m: volume(m, "secrets")["secret"]["items"][0].update(key="databse-password"),
        "has no ['databse-password']",
    ),
    Fault(
        "secrets_are_there_and_readable",
        lambda m: volume(m, "secrets", "api")["secret"].update(secretName="other"),
        "other has no",
    ),
    Fault(
        "secrets_are_there_and_readable",
        lambda m: container(m, "rabbitmq")["env"][1]["valueFrom"]["secretKeyRef"].update(key="rabbit"),
        "has no rabbit",
    ),
    Fault("secrets_are_there_and_readable", lambda m: pod(m)["securityContext"].pop("fsGroup"), "group alone"),
    Fault(
        "secrets_are_there_and_readable",
        lambda m: volume(m, "secrets")["secret"].update(defaultMode=0o444),
        "group alone",
    ),
    Fault(
        "the_plan_finds_its_secrets",
        lambda m: volume(m, "secrets", "bot")["secret"]["items"].pop(),
        "Deployment bot, wait",
    ),
    Fault(
        "the_plan_finds_its_secrets",
        lambda m: variable(m, "INITHOLD_SECRETS_DIR", "/run/secrets"),
        "/run/secrets has no",
    ),
    Fault("the_plan_finds_its_secrets", lambda m: plan(m, "secret:rabbitmq-password", "secret:broker"), "broker"),
]
