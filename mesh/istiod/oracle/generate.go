package main

import (
	"encoding/json"
	"fmt"
	"sort"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/kube/krt"
)

// generate returns what istiod sends to the first pod of each workload with a proxy, by namespace/workload.
func generate(t *failer, in Input) map[string]Config {
	docs := read(t, in)
	settings, err := mesh.ApplyMeshConfig(in.MeshConfig, mesh.DefaultMeshConfig())
	t.check(err, "meshConfig")
	krt.GlobalDebugHandler = new(krt.DebugHandler) // or it would hold on to every mesh there ever was
	server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		KubernetesObjects: docs.objects(t, in.Addresses), Configs: docs.configs, MeshConfig: settings,
	})
	server.EnsureSynced(t)
	pods := map[string]Config{}
	for _, w := range docs.workloads {
		if len(w.addresses) > 0 && (w.injected() || docs.gateway(w)) {
			pods[w.key()] = configOf(t, server, w, docs.gateway(w))
		}
	}
	return pods
}

func configOf(t *failer, server *xds.FakeDiscoveryServer, w *workload, gateway bool) Config {
	kind := model.SidecarProxy
	if gateway {
		kind = model.Router
	}
	proxy := server.SetupProxy(&model.Proxy{
		ID: w.Name + "-1." + w.Namespace, Type: kind, IPAddresses: w.addresses[:1], ConfigNamespace: w.Namespace,
		DNSDomain: w.Namespace + ".svc.cluster.local", Labels: w.template.Labels,
		IstioVersion: model.MaxIstioVersion,
		Metadata: &model.NodeMetadata{
			Namespace: w.Namespace, Labels: w.template.Labels, Annotations: w.template.Annotations, ClusterID: "Kubernetes",
			ServiceAccount: w.template.Spec.ServiceAccountName, WorkloadName: w.Name, IstioVersion: "1.32.0",
			MeshID: server.Env().Mesh().TrustDomain,
		},
	})
	listeners := server.Listeners(proxy)
	return Config{
		Listeners: list(t, listeners), Clusters: list(t, server.Clusters(proxy)),
		Routes: list(t, server.RoutesFromListeners(proxy, listeners)), Endpoints: list(t, server.Endpoints(proxy)),
	}
}

// list prints resources in the order of their names, each name once.
func list[T proto.Message](t *failer, messages []T) []json.RawMessage {
	byName := map[string]T{}
	for _, m := range messages {
		byName[nameOf(m)] = m
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	sort.Strings(names)
	found := make([]json.RawMessage, 0, len(names))
	for _, name := range names {
		text, err := protojson.Marshal(byName[name])
		t.check(err, name)
		found = append(found, text)
	}
	return found
}

func nameOf(m proto.Message) string {
	if load, ok := m.(*endpoint.ClusterLoadAssignment); ok {
		return load.ClusterName
	}
	return m.(interface{ GetName() string }).GetName()
}

// gateway tells whether a Gateway's selector takes the workload's pods.
func (d *documents) gateway(w *workload) bool {
	for _, c := range d.configs {
		if c.GroupVersionKind == gvk.Gateway && selects(c.Spec.(*networking.Gateway).Selector, w.template.Labels) {
			return true
		}
	}
	return false
}

// objects is the cluster: namespaces, ready pods, Services and their endpoints.
func (d *documents) objects(t *failer, addresses Addresses) []runtime.Object {
	var objects []runtime.Object
	for name, labels := range d.namespaces {
		objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	next := 1
	for _, w := range d.workloads {
		w.addresses = addresses.Pods[w.key()]
		if w.addresses == nil {
			for range w.replicas {
				w.addresses = append(w.addresses, fmt.Sprintf("127.0.1.%d", next))
				next++
			}
		}
		if len(w.addresses) != w.replicas {
			t.Fatalf("addresses: %s has %d replicas and %d addresses", w.key(), w.replicas, len(w.addresses))
		}
		for i, ip := range w.addresses {
			objects = append(objects, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Name: w.pod(i), Namespace: w.Namespace, Labels: w.template.Labels, Annotations: w.template.Annotations,
					OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: w.Name, Controller: proto.Bool(true)}},
				},
				Spec: w.template.Spec,
				Status: corev1.PodStatus{
					PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, Phase: corev1.PodRunning,
					Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
				},
			})
		}
	}
	for i, s := range d.services {
		if ip := addresses.Services[s.Namespace+"/"+s.Name]; ip != "" {
			s.Spec.ClusterIP = ip
		}
		if s.Spec.ClusterIP == "" {
			s.Spec.ClusterIP = fmt.Sprintf("127.10.0.%d", i+1)
		}
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
		objects = append(objects, s)
		for _, w := range d.workloads {
			if w.Namespace == s.Namespace && selects(s.Spec.Selector, w.template.Labels) {
				objects = append(objects, slice(s, w))
			}
		}
	}
	return objects
}

func (w *workload) pod(i int) string { return fmt.Sprintf("%s-%d", w.Name, i+1) }

// slice is the part of a Service's endpoints that one workload's pods are.
func slice(s *corev1.Service, w *workload) *discoveryv1.EndpointSlice {
	found := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.Name + "-" + w.Name, Namespace: s.Namespace, Labels: map[string]string{discoveryv1.LabelServiceName: s.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for i, ip := range w.addresses {
		found.Endpoints = append(found.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: proto.Bool(true)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: w.pod(i), Namespace: w.Namespace},
		})
	}
	for _, p := range s.Spec.Ports {
		if number, ok := target(p, w.template.Spec); ok {
			found.Ports = append(found.Ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &number})
		}
	}
	return found
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// target is the pod's port behind a Service's; none if no container has a port of that name.
func target(p corev1.ServicePort, spec corev1.PodSpec) (int32, bool) {
	if p.TargetPort.Type != intstr.String {
		return p.TargetPort.IntVal, true
	}
	for _, c := range spec.Containers {
		for _, cp := range c.Ports {
			if cp.Name == p.TargetPort.StrVal {
				return cp.ContainerPort, true
			}
		}
	}
	return 0, false
}
