{{- define "burnkey.name" -}}
{{ if eq .Release.Name .Chart.Name }}{{ .Chart.Name }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- /* The server removes trailing slashes from the URL before it signs the URL into tokens. */}}
{{- define "burnkey.publicURL" -}}
{{ regexReplaceAll "/+$" .Values.publicURL "" }}
{{- end }}

{{- /* The labels that select a component's pods. Do not change them: Kubernetes does not allow changes of a selector. */}}
{{- define "burnkey.selector" -}}
app.kubernetes.io/name: {{ .context.Chart.Name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "burnkey.labels" -}}
{{ include "burnkey.selector" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ .context.Chart.Name }}-{{ .context.Chart.Version }}
{{- end }}

{{- /* The requirements of the "restricted" Pod Security Standard for a pod; below, those for a container. */}}
{{- define "burnkey.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "burnkey.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Spreads pods over machines and zones if possible. */}}
{{- define "burnkey.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "burnkey.selector" $ | nindent 6 }}
{{- end }}
{{- end }}

{{- /* The arguments --NAME=VALUE for a mapping of flags. A list repeats its flag, and an empty value leaves it out. */}}
{{- define "burnkey.args" }}
{{- range $name, $value := . }}
{{- if or (kindIs "bool" $value) (kindIs "int64" $value) (kindIs "float64" $value) $value }}
{{- range (kindIs "slice" $value | ternary $value (list $value)) }}
- {{ printf "--%s=%s" $name (kindIs "string" . | ternary . (toJson .)) | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The address of the server for other pods, and that of burnkey gateway. */}}
{{- define "burnkey.server" -}}
http://{{ include "burnkey.name" . }}.{{ .Release.Namespace }}.svc:8080
{{- end }}

{{- define "burnkey.gateway" -}}
{{ include "burnkey.name" . }}-gateway.{{ .Release.Namespace }}.svc:9002
{{- end }}

{{- define "burnkey.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* The peers of networkPolicy.from, or every pod of the namespace. */}}
{{- define "burnkey.peers" -}}
{{- with .Values.networkPolicy.from }}{{ toYaml . }}{{ else }}- podSelector: {}{{ end }}
{{- end }}
