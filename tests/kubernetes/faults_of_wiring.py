"""Faults in probes and gates, names and ports."""

from __future__ import annotations

from kubernetes.fault import Fault, container, mount, plan, pod, remove, spec, variable, volume

FAULTS = [
    Fault("init_is_one", lambda m: spec(m, "init").update(replicas=2), "not one that is recreated"),
    Fault("init_is_one", lambda m: spec(m, "init").pop("strategy"), "not one that is recreated"),
    Fault("init_is_one", lambda m: plan(m, "lock: *database", ""), "no lock"),
    Fault("init_is_one", lambda m: container(m, "api").update(command=["inithold", "run", "--once"]), "api"),
    Fault("the_plan_is_mounted", lambda m: mount(m, "plan").update(subPath="inithold.yaml"), "folder"),
    Fault(
        "the_plan_is_mounted",
        lambda m: variable(m, "INITHOLD_PLAN", "/etc/inithold/plan/plan.yaml", "api"),
        "has no plan.yaml",
    ),
    Fault("the_plan_is_mounted", lambda m: container(m, "bot").pop("env"), "INITHOLD_PLAN"),
    Fault(
        "probes_look_at_the_marker",
        lambda m: container(m).update(command=["inithold", "run", "--marker", "/tmp/ready"]),
        "looks at /tmp/init-complete, and run makes /tmp/ready",
    ),
    Fault(
        "probes_look_at_the_marker",
        lambda m: container(m)["readinessProbe"]["exec"]["command"].extend(["--marker", "/tmp/ready"]),
        "readinessProbe: it looks at /tmp/ready",
    ),
    Fault(
        "probes_look_at_the_marker",
        lambda m: container(m)["startupProbe"]["exec"].update(command=["test", "-f", "/tmp/init-complete"]),
        "not `inithold health`",
    ),
    Fault("probes_look_at_the_marker", lambda m: container(m).pop("readinessProbe"), "readinessProbe"),
    Fault(
        "probes_look_at_the_marker",
        lambda m: variable(m, "INITHOLD_MARKER", "/run/init-complete"),
        "/run/init-complete is not on",
    ),
    Fault("probes_are_patient", lambda m: container(m)["startupProbe"].pop("failureThreshold"), "covers 3 s"),
    Fault("probes_are_patient", lambda m: plan(m, "timeout: 15m", "timeout: 1h"), "of 3600 s"),
    Fault("probes_are_patient", lambda m: container(m)["startupProbe"].pop("timeoutSeconds"), "timeoutSeconds"),
    Fault("probes_are_patient", lambda m: container(m)["startupProbe"].pop("periodSeconds"), "its period"),
    Fault(
        "probes_are_patient", lambda m: container(m)["readinessProbe"].update(periodSeconds=1), "costs processor"
    ),
    Fault("probes_are_patient", lambda m: container(m)["readinessProbe"].update(periodSeconds=60), "late"),
    Fault(
        "probes_are_patient",
        lambda m: container(m).update(livenessProbe=container(m)["readinessProbe"]),
        "liveness probe",
    ),
    Fault("probes_are_patient", lambda m: spec(m, "api").pop("progressDeadlineSeconds"), "api: gives up"),
    Fault("the_job_leaves_retries_to_init", lambda m: container(m)["command"].pop(), "does not end", True),
    Fault(
        "the_job_leaves_retries_to_init",
        lambda m: container(m).update(readinessProbe={"exec": {"command": ["inithold", "health"]}}),
        "no probe can succeed",
        True,
    ),
    Fault("the_job_leaves_retries_to_init", lambda m: pod(m).update(restartPolicy="OnFailure"), "Never", True),
    Fault(
        "the_job_leaves_retries_to_init",
        lambda m: spec(m, "init", "Job").pop("podFailurePolicy"),
        "podFailurePolicy",
        True,
    ),
    Fault(
        "the_job_leaves_retries_to_init",
        lambda m: spec(m, "init", "Job")["podFailurePolicy"]["rules"].reverse(),
        "podFailurePolicy",
        True,
    ),
    Fault("the_job_leaves_retries_to_init", lambda m: spec(m, "init", "Job").pop("backoffLimit"), "retries", True),
    Fault(
        "the_job_leaves_retries_to_init",
        lambda m: spec(m, "init", "Job").update(activeDeadlineSeconds=900),
        "activeDeadlineSeconds",
        True,
    ),
    Fault("dependents_are_gated", lambda m: pod(m, "bot").pop("initContainers"), "nothing makes it wait"),
    Fault(
        "dependents_are_gated",
        lambda m: pod(m, "bot")["initContainers"].insert(0, container(m, "bot", 1)),
        "nothing makes it wait",
    ),
    Fault(
        "dependents_are_gated",
        lambda m: container(m, "api").update(command=["inithold", "wait", "tcp://postgres:5432"]),
        "does not wait for the plan",
    ),
    Fault("dependents_are_gated", lambda m: container(m, "api").update(image="inithold:1"), "another image"),
    Fault(
        "containers_tell_why_they_ended",
        lambda m: container(m, "api").pop("terminationMessagePolicy"),
        "Deployment api, wait",
    ),
    Fault(
        "what_only_waits_can_be_drained",
        lambda m: container(m, "bot")["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"}),
        "mounts the emptyDir tmp",
    ),
    Fault("replicas_are_apart", lambda m: remove(m, "PodDisruptionBudget", "api"), "no PodDisruptionBudget"),
    Fault(
        "replicas_are_apart",
        lambda m: spec(m, "api", "PodDisruptionBudget").pop("unhealthyPodEvictionPolicy"),
        "keep a node",
    ),
    Fault("replicas_are_apart", lambda m: pod(m, "api").pop("topologySpreadConstraints"), "on one node"),
    Fault(
        "selectors_match_labels",
        lambda m: spec(m, "api")["selector"]["matchLabels"].update({"app.kubernetes.io/name": "bot"}),
        "selects the Pods of ['bot']",
    ),
    Fault(
        "selectors_match_labels",
        lambda m: spec(m, "postgres", "Service").update(selector={"app": "postgres"}),
        "Service postgres",
    ),
    Fault(
        "selectors_match_labels",
        lambda m: spec(m, "api", "NetworkPolicy")["podSelector"].update(matchLabels={"app": "api"}),
        "NetworkPolicy api",
    ),
    Fault("names_lead_somewhere", lambda m: pod(m)["volumes"].pop(0), "no volume tmp"),
    Fault("names_lead_somewhere", lambda m: remove(m, "PersistentVolumeClaim", "postgres"), "no claim postgres"),
    Fault("names_lead_somewhere", lambda m: volume(m, "plan")["configMap"].update(name="plan"), "ConfigMap plan"),
    Fault(
        "names_lead_somewhere",
        lambda m: spec(m, "rabbitmq", "StatefulSet").update(serviceName="broker"),
        "its Service",
    ),
    Fault("names_lead_somewhere", lambda m: m.named("Deployment", "bot")["metadata"].pop("namespace"), "bot"),
    Fault(
        "ports_are_there",
        lambda m: spec(m, "api", "Service")["ports"][0].update(targetPort="web"),
        "has no port web",
    ),
    Fault(
        "ports_are_there",
        lambda m: container(m, "api", 1)["readinessProbe"]["httpGet"].update(port=80),
        "readinessProbe: there is no port 80",
    ),
    Fault("nothing_is_open_by_default", lambda m: remove(m, "NetworkPolicy", "deny-all"), "no policy"),
    Fault(
        "nothing_is_open_by_default",
        lambda m: spec(m, "deny-all", "NetworkPolicy").update(policyTypes=["Ingress"]),
        "no policy",
    ),
    Fault("what_is_needed_is_open", lambda m: remove(m, "NetworkPolicy", "names"), "ask for names"),
    Fault("what_is_needed_is_open", lambda m: remove(m, "NetworkPolicy", "to-servers"), "not let out"),
    Fault("what_is_needed_is_open", lambda m: remove(m, "NetworkPolicy", "postgres"), "not let in"),
    Fault("what_is_needed_is_open", lambda m: remove(m, "NetworkPolicy", "api"), "reach its port http"),
    Fault(
        "what_is_needed_is_open",
        lambda m: spec(m, "rabbitmq", "NetworkPolicy")["ingress"][0]["ports"].pop(),
        "Deployment api to rabbitmq:15672: not let in",
    ),
    Fault("what_is_needed_is_open", lambda m: plan(m, "BROKER_PORT:-5672", "BROKER_PORT:-5671"), "no such port"),
    Fault("what_is_needed_is_open", lambda m: plan(m, "HOST:-postgres", "HOST:-db"), "db:5432: there is no"),
    Fault(
        "what_is_open_is_used",
        lambda m: spec(m, "postgres", "NetworkPolicy")["ingress"][0].pop("ports"),
        "every port",
    ),
    Fault(
        "what_is_open_is_used",
        lambda m: spec(m, "to-servers", "NetworkPolicy")["egress"][1]["ports"].append({"port": 25672}),
        "25672 of rabbitmq, unused",
    ),
    Fault(
        "what_is_open_is_used",
        lambda m: spec(m, "to-servers", "NetworkPolicy").update(podSelector={}),
        "postgres: lets out 5432 of postgres",
    ),
    Fault(
        "workloads_say_their_version",
        lambda m: m.named("Deployment", "api")["metadata"]["labels"].pop("app.kubernetes.io/version"),
        "Deployment api: it and its Pods",
    ),
    Fault(
        "workloads_say_their_version",
        lambda m: spec(m, "bot")["template"]["metadata"]["labels"].update({"app.kubernetes.io/version": "2"}),
        "Deployment bot: it and its Pods",
    ),
    Fault(
        "workloads_say_their_version",
        lambda m: container(m).update(image="game-scheduler:0.2.0"),
        "version 0.1.0, and image 0.2.0",
    ),
    Fault(
        "applying_again_changes_nothing",
        lambda m: spec(m, "postgres", "StatefulSet").update(volumeClaimTemplates=[]),
        "StatefulSet postgres, volumeClaimTemplates",
    ),
    Fault(
        "applying_again_changes_nothing",
        lambda m: spec(m, "postgres", "NetworkPolicy")["ingress"][0]["ports"][0].pop("protocol"),
        "adds protocol",
    ),
    Fault(
        "applying_again_changes_nothing",
        lambda m: spec(m, "init", "Job")["podFailurePolicy"]["rules"][0]["onPodConditions"][0].pop("status"),
        "adds status",
        as_job=True,
    ),
    Fault(
        "applying_again_changes_nothing",
        lambda m: container(m)["resources"]["limits"].update(memory="1024Mi"),
        "1024Mi is not how",
    ),
    Fault(
        "applying_again_changes_nothing",
        lambda m: container(m)["resources"]["requests"].update(cpu="0.1"),
        "0.1 is not how",
    ),
    Fault(
        "applying_again_changes_nothing",
        lambda m: variable(m, "INITHOLD_LOG_LEVEL", ""),
        "value: the server leaves",
    ),
]
