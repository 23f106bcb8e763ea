"""What the client of Kubernetes on PyPI gets from an API server, as one JSON object.

Called with a kubeconfig, a pod, a port at which something answers, and one at which nothing listens.
"""

import base64
import json
import sys

from kubernetes import client, config
from kubernetes.stream import portforward

NAMESPACE = "shop"


def main(kubeconfig, pod, port, refused):
    config.load_kube_config(kubeconfig)
    core, authorization = client.CoreV1Api(), client.AuthorizationV1Api()
    listed = core.list_namespaced_pod(NAMESPACE, label_selector="app=web")
    read = core.read_namespaced_pod(pod, NAMESPACE)
    print(
        json.dumps(
            {
                "listed": [shown(it) for it in listed.items],
                "read": shown(read),
                "allowed": {name: is_allowed(authorization, name) for name in (NAMESPACE, "elsewhere")},
                "answer": base64.b64encode(asked(core, pod, port)).decode(),
                "refused": refusal(core, pod, refused),
            }
        )
    )


def shown(pod):
    return {
        "name": pod.metadata.name,
        "uid": pod.metadata.uid,
        "phase": pod.status.phase,
        "container": pod.status.container_statuses[0].container_id,
    }


def is_allowed(authorization, namespace):
    attributes = client.V1ResourceAttributes(
        namespace=namespace, group="", resource="pods", subresource="portforward", verb="get"
    )
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    review = client.V1SelfSubjectAccessReview(spec=spec)
    return authorization.create_self_subject_access_review(review).status.allowed


def forwarded(core, pod, port):
    return portforward(core.connect_get_namespaced_pod_portforward, pod, NAMESPACE, ports=str(port))


def asked(core, pod, port):
    forward = forwarded(core, pod, port)
    socket = forward.socket(port)
    socket.setblocking(True)
    socket.sendall(b"who are you\n")
    answer = bytearray()
    while piece := socket.recv(64 * 1024):
        answer += piece
    if (said := forward.error(port)) is not None:
        raise RuntimeError(said)
    return bytes(answer)


def refusal(core, pod, port):
    forward = forwarded(core, pod, port)
    socket = forward.socket(port)
    socket.setblocking(True)
    while socket.recv(1024):
        pass
    return forward.error(port)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
