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
