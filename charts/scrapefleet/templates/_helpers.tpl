{{/* The name of the chart, or what replaces it. A label has 63 characters at most. */}}
{{- define "scrapefleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of all objects. 52 characters leave room for the longest suffix, "-test-ready". */}}
{{- define "scrapefleet.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "scrapefleet.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* The name of objects that are the cluster's: two releases of one name in two namespaces must not meet. */}}
{{- define "scrapefleet.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "scrapefleet.fullname" .) }}
{{- end }}

{{/* What selects the operator's pods; it never changes, because a Deployment's selector cannot. */}}
{{- define "scrapefleet.selectorLabels" -}}
app.kubernetes.io/name: {{ include "scrapefleet.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of objects. */}}
{{- define "scrapefleet.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "scrapefleet.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: scrapefleet
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "scrapefleet.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "scrapefleet.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The name of an image with its digest or its tag. Takes a list: the image's values, the default tag. */}}
{{- define "scrapefleet.image" -}}
{{- $image := index . 0 }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag) }}
{{- end }}
{{- end }}

{{/* The subjects of every binding: the operator's service account. */}}
{{- define "scrapefleet.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "scrapefleet.serviceAccountName" . | quote }}
    namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{/* What a container needs to satisfy the `restricted` standard, and more. */}}
{{- define "scrapefleet.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* The pods of fleets: the operator gives every one of them this label. */}}
{{- define "scrapefleet.fleetPods" -}}
matchExpressions:
  - key: scrapefleet.io/fleet
    operator: Exists
{{- end }}
