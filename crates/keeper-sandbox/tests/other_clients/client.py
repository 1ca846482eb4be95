"""What the Python client does with an API server: list, watch, patch, replace, delete, and custom objects.

Takes a kubeconfig and a namespace, and prints a line for each thing that went as it should.
"""

import sys
import threading

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

KUBECONFIG, NAMESPACE = sys.argv[1:]


def done(what):
    print(what, flush=True)


def refused(code, reason, act):
    """Expects a refusal with this code and reason, and returns its body."""
    try:
        act()
    except ApiException as error:
        assert error.status == code, error
        assert f'"reason":"{reason}"' in error.body.replace(" ", ""), error.body
        return error.body
    raise AssertionError(f"should have been refused with {code}")


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"set": "one"}), data=data)


def config_maps(core):
    created = [core.create_namespaced_config_map(NAMESPACE, config_map(f"c{i}", n=str(i))) for i in range(3)]
    assert all(each.metadata.uid for each in created)
    refused(409, "AlreadyExists", lambda: core.create_namespaced_config_map(NAMESPACE, config_map("c0")))
    done("create")

    first = core.list_namespaced_config_map(NAMESPACE, label_selector="set=one", limit=2)
    rest = core.list_namespaced_config_map(NAMESPACE, label_selector="set=one", limit=2, _continue=first.metadata._continue)
    assert [each.metadata.name for each in first.items + rest.items] == ["c0", "c1", "c2"]
    done("list in pages")

    seen = []

    def follow():
        events = watch.Watch().stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version=rest.metadata.resource_version, timeout_seconds=20
        )
        for event in events:
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                return

    follower = threading.Thread(target=follow)
    follower.start()

    body = {"data": {"n": "5"}}
    merged = core.patch_namespaced_config_map("c0", NAMESPACE, body, _content_type="application/merge-patch+json")
    assert merged.data == {"n": "5"}
    steps = [{"op": "test", "path": "/data/n", "value": "5"}, {"op": "replace", "path": "/data/n", "value": "6"}]
    patched = core.patch_namespaced_config_map("c0", NAMESPACE, steps, _content_type="application/json-patch+json")
    assert patched.data == {"n": "6"}
    wrong = [{"op": "test", "path": "/data/n", "value": "0"}]
    refused(422, "Invalid", lambda: core.patch_namespaced_config_map("c0", NAMESPACE, wrong, _content_type="application/json-patch+json"))
    done("patch: merge and JSON")

    current = core.read_namespaced_config_map("c1", NAMESPACE)
    current.data = {"n": "7"}
    core.replace_namespaced_config_map("c1", NAMESPACE, current)
    body = refused(409, "Conflict", lambda: core.replace_namespaced_config_map("c1", NAMESPACE, current))
    assert "the object has been modified" in body
    done("replace, and conflict")

    gone = core.delete_namespaced_config_map("c2", NAMESPACE)
    assert gone["status"] == "Success", gone
    refused(404, "NotFound", lambda: core.read_namespaced_config_map("c2", NAMESPACE))
    follower.join(timeout=30)
    assert not follower.is_alive()
    assert seen == [("MODIFIED", "c0"), ("MODIFIED", "c0"), ("MODIFIED", "c1"), ("DELETED", "c2")], seen
    done("delete")
    done("watch")
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="set=one")
    assert core.list_namespaced_config_map(NAMESPACE, label_selector="set=one").items == []
    done("delete a collection")


def deployments(apps):
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"app": "web"}),
        spec=client.V1PodSpec(containers=[
            client.V1Container(name="a", image="example.com/a:1"), client.V1Container(name="b", image="example.com/b:1"),
        ]),
    )
    spec = client.V1DeploymentSpec(
        replicas=0, selector=client.V1LabelSelector(match_labels={"app": "web"}), template=template
    )
    apps.create_namespaced_deployment(NAMESPACE, client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec))
    one = {"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "example.com/b:2"}]}}}}
    web = apps.patch_namespaced_deployment("web", NAMESPACE, one, _content_type="application/strategic-merge-patch+json")
    assert [each.image for each in web.spec.template.spec.containers] == ["example.com/a:1", "example.com/b:2"]
    done("patch: strategic")
    scaled = apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 2}})
    assert scaled.spec.replicas == 2
    done("scale")
    dry = apps.delete_namespaced_deployment("web", NAMESPACE, dry_run="All")
    assert dry is not None
    apps.delete_namespaced_deployment("web", NAMESPACE, body=client.V1DeleteOptions(propagation_policy="Background"))
    refused(404, "NotFound", lambda: apps.read_namespaced_deployment("web", NAMESPACE))
    done("delete with options")


def custom(extensions, objects):
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9, "default": 3}}}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    extensions.create_custom_resource_definition(definition)
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {}}
    where = ("example.com", "v1", NAMESPACE, "things")
    assert objects.create_namespaced_custom_object(*where, thing)["spec"] == {"size": 3}
    refused(422, "Invalid", lambda: objects.patch_namespaced_custom_object(*where, "t", {"spec": {"size": 10}}))
    assert objects.patch_namespaced_custom_object(*where, "t", {"spec": {"size": 4}})["spec"] == {"size": 4}
    assert [each["metadata"]["name"] for each in objects.list_namespaced_custom_object(*where)["items"]] == ["t"]
    objects.delete_namespaced_custom_object(*where, "t")
    extensions.delete_custom_resource_definition("things.example.com")
    done("custom objects")


def main():
    config.load_kube_config(KUBECONFIG)
    config_maps(client.CoreV1Api())
    deployments(client.AppsV1Api())
    custom(client.ApiextensionsV1Api(), client.CustomObjectsApi())


main()
