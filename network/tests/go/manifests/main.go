// What Kubernetes and Compose say of exported files, by their own types and schema.
//
//	manifests kubernetes FILE…   every document is read strictly into the type that it names
//	manifests compose FILE       the project is loaded and checked as `compose config` does
//
// It prints `KIND NAME` or the names of services, a line each.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sort"

	"github.com/compose-spec/compose-go/v2/loader"
	compose "github.com/compose-spec/compose-go/v2/types"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("manifests kubernetes|compose FILE…")
	}
	read := map[string]func(string) ([]string, error){"kubernetes": kubernetes, "compose": project}[os.Args[1]]
	if read == nil {
		log.Fatalf("there is no command %q", os.Args[1])
	}
	for _, path := range os.Args[2:] {
		lines, err := read(path)
		if err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		for _, line := range lines {
			fmt.Println(line)
		}
	}
}

func kubernetes(path string) ([]string, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{core.AddToScheme, apps.AddToScheme, networking.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var lines []string
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		object, kind, err := strict.Decode(document, nil, nil)
		if err != nil {
			return nil, err
		}
		named, ok := object.(meta.Object)
		if !ok {
			return nil, fmt.Errorf("%s has no name", kind.Kind)
		}
		// What the types cannot say and the server would.
		if wrong := validation.IsDNS1123Subdomain(named.GetName()); len(wrong) > 0 {
			return nil, fmt.Errorf("%s %q: %v", kind.Kind, named.GetName(), wrong)
		}
		if err := consistent(object); err != nil {
			return nil, fmt.Errorf("%s %q: %w", kind.Kind, named.GetName(), err)
		}
		lines = append(lines, kind.Kind+" "+named.GetName())
	}
}

// Names that refer to each other inside one object, and forms of names that its server checks.
func consistent(object runtime.Object) error {
	switch object := object.(type) {
	case *core.ConfigMap:
		for key := range object.Data {
			if wrong := validation.IsConfigMapKey(key); len(wrong) > 0 {
				return fmt.Errorf("key %q: %v", key, wrong)
			}
		}
	case *core.Service:
		if wrong := validation.IsDNS1035Label(object.Name); len(wrong) > 0 {
			return fmt.Errorf("name: %v", wrong)
		}
	case *apps.StatefulSet:
		pod := object.Spec.Template.Spec
		volumes := map[string]bool{}
		for _, volume := range pod.Volumes {
			volumes[volume.Name] = true
		}
		for _, claim := range object.Spec.VolumeClaimTemplates {
			volumes[claim.Name] = true
		}
		for _, container := range append(pod.InitContainers, pod.Containers...) {
			for _, mount := range container.VolumeMounts {
				if !volumes[mount.Name] || !filepath.IsAbs(mount.MountPath) {
					return fmt.Errorf("container %s mounts %q at %q", container.Name, mount.Name, mount.MountPath)
				}
			}
			for _, port := range container.Ports {
				if wrong := validation.IsValidPortName(port.Name); len(wrong) > 0 {
					return fmt.Errorf("port %q: %v", port.Name, wrong)
				}
			}
		}
		for key, value := range object.Spec.Selector.MatchLabels {
			if object.Spec.Template.Labels[key] != value {
				return fmt.Errorf("the selector %s=%s is not its pods' label", key, value)
			}
		}
	}
	return nil
}

func project(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	details := compose.ConfigDetails{
		WorkingDir:  filepath.Dir(path),
		ConfigFiles: []compose.ConfigFile{{Filename: path, Content: text}},
		Environment: compose.Mapping{},
	}
	loaded, err := loader.LoadWithContext(context.Background(), details)
	if err != nil {
		return nil, err
	}
	names := loaded.ServiceNames()
	sort.Strings(names)
	return names, nil
}
