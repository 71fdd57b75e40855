package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"istio.io/api/security/v1beta1"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/gvk"
	kubelabels "istio.io/istio/pkg/kube/labels"
)

// others are groups and kinds that neither istiod nor its in-process cluster looks at.
var others = map[string]bool{
	"ConfigMap": true, "PersistentVolumeClaim": true, "Secret": true, "ServiceAccount": true, "Kustomization": true, "Component": true,
	"Kafka": true, "KafkaNodePool": true, "KafkaTopic": true, "KafkaUser": true,
}

// created is the age of every resource that does not say its own: older than any that does; ties are broken by name.
var created = time.Unix(0, 0).UTC()

// workload is a Deployment or StatefulSet: replicas of one pod.
type workload struct {
	metav1.ObjectMeta
	replicas  int
	template  corev1.PodTemplateSpec
	addresses []string
}

func (w *workload) key() string { return w.Namespace + "/" + w.Name }

func (w *workload) injected() bool {
	const key = "sidecar.istio.io/inject"
	return w.template.Labels[key] != "false" && w.template.Annotations[key] != "false"
}

// documents is everything that was read, in the order of names.
type documents struct {
	namespaces map[string]map[string]string
	workloads  []*workload
	services   []*corev1.Service
	configs    []config.Config
}

type reading struct {
	*failer
	documents
	namespace string
	jwks      map[string]string
}

func read(t *failer, in Input) documents {
	r := &reading{failer: t, namespace: in.Namespace, jwks: in.Jwks}
	r.namespaces = map[string]map[string]string{"istio-system": nil}
	if r.namespace == "" {
		r.namespace = "default"
	}
	files := make([]string, 0, len(in.Files))
	for name := range in.Files {
		files = append(files, name)
	}
	sort.Strings(files)
	for _, name := range files {
		reader := kubeyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(in.Files[name])))
		for number := 1; ; number++ {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			where := fmt.Sprintf("%s document %d", name, number)
			t.check(err, where)
			r.document(document, where)
		}
	}
	sort.Slice(r.workloads, func(i, j int) bool { return r.workloads[i].key() < r.workloads[j].key() })
	sort.Slice(r.services, func(i, j int) bool {
		a, b := r.services[i], r.services[j]
		return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
	})
	return r.documents
}

func (r *reading) document(text []byte, where string) {
	var head struct {
		Kind       string
		APIVersion string
		Metadata   metav1.ObjectMeta
		Items      []map[string]any
	}
	r.check(yaml.Unmarshal(text, &head), where)
	where = fmt.Sprintf("%s (%s %s)", where, head.Kind, head.Metadata.Name)
	switch {
	case head.Kind == "List":
		for _, item := range head.Items {
			text, err := yaml.Marshal(item)
			r.check(err, where)
			r.document(text, where)
		}
	case head.Kind == "" && head.APIVersion == "", others[head.Kind]:
	case head.Kind == "Namespace":
		r.namespaces[head.Metadata.Name] = head.Metadata.Labels
	case head.Kind == "Deployment":
		d := &appsv1.Deployment{}
		r.check(yaml.Unmarshal(text, d), where)
		r.workload(d.ObjectMeta, d.Spec.Replicas, d.Spec.Template)
	case head.Kind == "StatefulSet":
		s := &appsv1.StatefulSet{}
		r.check(yaml.Unmarshal(text, s), where)
		r.workload(s.ObjectMeta, s.Spec.Replicas, s.Spec.Template)
	case head.Kind == "Service" && head.APIVersion == "v1":
		s := &corev1.Service{}
		r.check(yaml.Unmarshal(text, s), where)
		r.place(&s.Namespace)
		for i := range s.Spec.Ports { // as a cluster's admission does
			if p := &s.Spec.Ports[i]; p.TargetPort == (intstr.IntOrString{}) {
				p.TargetPort = intstr.FromInt32(p.Port)
			}
		}
		r.services = append(r.services, s)
	case strings.Contains(head.APIVersion, "istio.io/"):
		r.config(text, where)
	default:
		r.Fatalf("%s: the oracle knows no such kind", where)
	}
}

// place gives an object its namespace, and makes that known.
func (r *reading) place(namespace *string) {
	if *namespace == "" {
		*namespace = r.namespace
	}
	if _, known := r.namespaces[*namespace]; !known {
		r.namespaces[*namespace] = nil
	}
}

func (r *reading) workload(meta metav1.ObjectMeta, replicas *int32, template corev1.PodTemplateSpec) {
	r.place(&meta.Namespace)
	w := &workload{ObjectMeta: meta, replicas: 1, template: template}
	if replicas != nil {
		w.replicas = int(*replicas)
	}
	if template.Spec.ServiceAccountName == "" {
		w.template.Spec.ServiceAccountName = "default" // as a cluster's admission does
	}
	labels := map[string]string{}
	for k, v := range template.Labels {
		labels[k] = v
	}
	if w.injected() { // as the injector does
		labels["security.istio.io/tlsMode"] = "istio"
		name, revision := kubelabels.CanonicalService(labels, w.Name)
		labels["service.istio.io/canonical-name"], labels["service.istio.io/canonical-revision"] = name, revision
	}
	w.template.Labels = labels
	r.workloads = append(r.workloads, w)
}

// config reads one Istio resource, validated by istiod.
func (r *reading) config(text []byte, where string) {
	configs, unknown, err := crd.ParseInputs(string(text))
	r.check(err, where)
	if len(unknown) > 0 {
		r.Fatalf("%s: istiod knows no such kind", where)
	}
	var said struct{ Metadata metav1.ObjectMeta }
	r.check(yaml.Unmarshal(text, &said), where)
	for _, c := range configs {
		c.Namespace, c.Domain = said.Metadata.Namespace, "cluster.local"
		r.place(&c.Namespace)
		if c.CreationTimestamp.IsZero() {
			c.CreationTimestamp = created
		}
		if c.GroupVersionKind == gvk.RequestAuthentication {
			r.inline(c.Spec.(*v1beta1.RequestAuthentication))
		}
		r.configs = append(r.configs, c)
	}
}

// inline puts key sets where they would have been fetched; one that is not known is istiod's own answer to a failed fetch.
func (r *reading) inline(spec *v1beta1.RequestAuthentication) {
	for _, rule := range spec.JwtRules {
		if rule.Jwks != "" {
			continue
		}
		rule.Jwks = model.PublicOnlyJwks
		if known, ok := r.jwks[rule.JwksUri]; ok {
			rule.Jwks = known
		}
		rule.JwksUri = ""
	}
}
