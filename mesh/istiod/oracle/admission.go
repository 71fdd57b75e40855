package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"istio.io/istio/manifests"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
)

// Review is what a cluster says of the Istio resources of one file when they are applied: nothing if they are taken.
type Review struct {
	// Schema is the API server's refusal, by the schema and the rules of the custom resource's definition.
	Schema string `json:"schema,omitempty"`
	// Webhook is istiod's refusal: its reader's or its validation's. It is asked even if the schema refuses.
	Webhook string `json:"webhook,omitempty"`
	// Warning is what istiod says of a resource that it takes.
	Warning string `json:"warning,omitempty"`
}

// definitions are those of Istio's own chart by apiVersion and kind, read at the first review.
var definitions = sync.OnceValues(readDefinitions)

// definition is one version of a custom resource, in the three forms that the API server asks.
type definition struct {
	schema     validation.SchemaCreateValidator
	structural *structuralschema.Structural
	rules      *cel.Validator
}

func readDefinitions() (map[string]definition, error) {
	text, err := manifests.FS.ReadFile("charts/base/files/crd-all.gen.yaml")
	if err != nil {
		return nil, err
	}
	known := map[string]definition{}
	reader := kubeyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(string(text))))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return known, nil
		}
		if err != nil {
			return nil, err
		}
		crd := apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(document, &crd); err != nil {
			return nil, err
		}
		for _, version := range crd.Spec.Versions {
			name := crd.Spec.Group + "/" + version.Name + " " + crd.Spec.Names.Kind
			if known[name], err = readVersion(version); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
}

func readVersion(version apiextensionsv1.CustomResourceDefinitionVersion) (definition, error) {
	schema := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, schema, nil); err != nil {
		return definition{}, err
	}
	validator, _, err := validation.NewSchemaValidator(schema)
	if err != nil {
		return definition{}, err
	}
	structural, err := structuralschema.NewStructural(schema)
	return definition{validator, structural, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, err
}

// refuse is what the API server says of an object: nulls are dropped, then types, unknown fields and rules are looked at.
func (d definition) refuse(object map[string]any) error {
	defaulting.PruneNonNullableNullsWithoutDefaults(object, d.structural)
	defaulting.Default(object, d.structural)
	if errs := validation.ValidateCustomResource(nil, object, d.schema); len(errs) > 0 {
		return errs.ToAggregate()
	}
	for _, path := range pruning.PruneWithOptions(object, d.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		return fmt.Errorf("unknown field %q", path)
	}
	var errs field.ErrorList
	if d.rules != nil {
		errs, _ = d.rules.Validate(context.Background(), nil, d.structural, object, nil, celconfig.RuntimeCELCostBudget)
	}
	return errs.ToAggregate()
}

// review returns a review for each file; the first refusal of each kind counts.
func review(t *failer, in Input) map[string]Review {
	known, err := definitions()
	t.check(err, "definitions")
	reviews := map[string]Review{}
	for name, text := range in.Files {
		review := Review{}
		reader := kubeyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = review.add(known, document)
			}
			if err != nil {
				review.Webhook = first(review.Webhook, err)
				break
			}
		}
		reviews[name] = review
	}
	return reviews
}

// add asks the schema, then istiod. It returns what neither can be asked for: a text that is no YAML.
func (r *Review) add(known map[string]definition, document []byte) error {
	object := &unstructured.Unstructured{}
	asJSON, err := yaml.YAMLToJSON(document)
	if err == nil {
		err = utiljson.Unmarshal(asJSON, &object.Object) // whole numbers are integers
	}
	if err != nil {
		return err
	}
	if len(object.Object) == 0 {
		return nil
	}
	asked, found := known[object.GetAPIVersion()+" "+object.GetKind()]
	if !found {
		return fmt.Errorf("no definition of %s %s", object.GetAPIVersion(), object.GetKind())
	}
	r.Schema = first(r.Schema, guard(func() error { return asked.refuse(object.Object) }))
	r.Webhook = first(r.Webhook, guard(func() error {
		warning, err := validated(document)
		r.Warning = first(r.Warning, warning)
		return err
	}))
	return nil
}

// validated is what istiod's webhook does with a resource.
func validated(document []byte) (warning error, err error) {
	said := crd.IstioKind{}
	if err := yaml.Unmarshal(document, &said); err != nil {
		return nil, err
	}
	kind := said.GroupVersionKind()
	schema, known := collections.PilotGatewayAPI().FindByGroupVersionAliasesKind(resource.FromKubernetesGVK(&kind))
	if !known {
		return nil, fmt.Errorf("istiod knows no kind %v", kind)
	}
	var c *config.Config
	if c, err = crd.ConvertObject(schema, &said, "cluster.local"); err != nil {
		return nil, err
	}
	return schema.ValidateConfig(*c)
}

func first(said string, err error) string {
	if said == "" && err != nil {
		return err.Error()
	}
	return said
}

// guard makes a panic the error that it is of: a webhook that panics refuses.
func guard(f func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			fmt.Fprintln(os.Stderr, "oracle: panic:", fault)
			err = fmt.Errorf("panic: %v", fault)
		}
	}()
	return f()
}
