{{- define "burnkey.name" -}}
{{ if eq .Release.Name .Chart.Name }}{{ .Chart.Name }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- /* As the server signs it: without a slash at its end. */}}
{{- define "burnkey.publicURL" -}}
{{ regexReplaceAll "/+$" .Values.publicURL "" }}
{{- end }}

{{- /* Which pods: the context and the component. Never changes, for a selector can't. */}}
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

{{- /* What "restricted" of the Pod Security Standards demands, of a pod and of a container. */}}
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

{{- /* Pods on different machines and in different zones, where there are any. */}}
{{- define "burnkey.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "burnkey.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
