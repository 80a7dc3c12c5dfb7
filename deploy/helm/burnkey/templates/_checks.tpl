{{- /* What values.schema.json cannot say about values that depend on each other. */}}
{{- define "burnkey.checkGateway" -}}
{{- $g := .Values.gateway }}
{{- if has "burnkey" (concat (list $g.workspace) (kindIs "slice" $g.workspace | ternary $g.workspace list)) }}
{{- fail "gateway.workspace: must not be burnkey: the API would receive management keys and could use them" }}
{{- end }}
{{- if not (or $g.workspace $g.keySecretName) }}
{{- fail "gateway.workspace: must be the workspaces whose keys are accepted; or name a Secret in gateway.keySecretName, for every workspace" }}
{{- end }}
{{- if and $g.audience (index $g.flags "any-audience") }}
{{- fail "gateway.flags.any-audience: cannot be combined with gateway.audience" }}
{{- end }}
{{- if not (or $g.audience (index $g.flags "any-audience")) }}
{{- fail "gateway.audience: must be the audience of the API, which keys must have; gateway.flags.any-audience accepts keys for others, too" }}
{{- end }}
{{- if and $g.usageKeySecretName $g.keySecretName }}
{{- fail "gateway.usageKeySecretName: is for gateway.workspace without gateway.keySecretName, whose key reports usage as well" }}
{{- end }}
{{- if not $g.keySecretName }}
{{- if $g.redisSecretName }}
{{- fail "gateway.redisSecretName: has no effect without gateway.keySecretName: limits come with the feed" }}
{{- end }}
{{- if $g.pepperSecretName }}
{{- fail "gateway.pepperSecretName: has no effect without gateway.keySecretName: imported keys come with the feed" }}
{{- end }}
{{- if $g.flags.environment }}
{{- fail "gateway.flags.environment: has no effect without gateway.keySecretName: name the workspaces of the environment in gateway.workspace" }}
{{- end }}
{{- end }}
{{- if and (index $g.flags "redis-down") (not $g.redisSecretName) }}
{{- fail "gateway.flags.redis-down: has no effect without gateway.redisSecretName" }}
{{- end }}
{{- if and (index $g.flags "when-stale") (not (index $g.flags "max-staleness")) }}
{{- fail "gateway.flags.when-stale: has no effect without gateway.flags.max-staleness" }}
{{- end }}
{{- if and (index $g.flags "http-client-address-header") (not $g.http) }}
{{- fail "gateway.flags.http-client-address-header: has no effect without gateway.http" }}
{{- end }}
{{- end }}

{{- define "burnkey.checkEnvoy" -}}
{{- $e := .Values.envoy }}
{{- if has "burnkey" (concat (list $e.workspace) (kindIs "slice" $e.workspace | ternary $e.workspace list)) }}
{{- fail "envoy.workspace: must not be burnkey: the API would receive management keys and could use them" }}
{{- end }}
{{- if and $e.enabled $e.config }}
{{- range $name := list "flags" "routes" "upstreamCASecretName" "userCASecretName" }}
{{- if index $e $name }}
{{- fail (printf "envoy.%s: has no effect with envoy.config, which is complete" $name) }}
{{- end }}
{{- end }}
{{- else if $e.enabled }}
{{- if not $e.upstream }}
{{- fail "envoy.upstream: must be HOST:PORT of the API" }}
{{- end }}
{{- if and (or (eq $e.mode "gateway") (eq (default "" $e.flags.limits) "service")) (not .Values.gateway.enabled) }}
{{- fail (printf "gateway.enabled: must be true with envoy.%s" (eq $e.mode "gateway" | ternary "mode: gateway" "flags.limits: service")) }}
{{- end }}
{{- if and $e.upstreamCASecretName (not (index $e.flags "upstream-tls")) }}
{{- fail "envoy.upstreamCASecretName: has no effect without envoy.flags.upstream-tls" }}
{{- end }}
{{- if and $e.userCASecretName (not (index $e.flags "user-jwks")) }}
{{- fail "envoy.userCASecretName: has no effect without envoy.flags.user-jwks" }}
{{- end }}
{{- include (printf "burnkey.checkEnvoy.%s" $e.mode) $e }}
{{- end }}
{{- end }}

{{- define "burnkey.checkEnvoy.pull" -}}
{{- if .flags.imported }}
{{- fail "envoy.flags.imported: is for envoy.mode: gateway" }}
{{- end }}
{{- if not .workspace }}
{{- fail "envoy.workspace: must be the workspace whose keys are accepted" }}
{{- end }}
{{- if and .audience (index .flags "any-audience") }}
{{- fail "envoy.flags.any-audience: cannot be combined with envoy.audience" }}
{{- end }}
{{- if not (or .audience (index .flags "any-audience")) }}
{{- fail "envoy.audience: must be the audience of the API, which keys must have" }}
{{- end }}
{{- end }}

{{- define "burnkey.checkEnvoy.gateway" -}}
{{- range $name := list "workspace" "audience" }}
{{- if index $ $name }}
{{- fail (printf "envoy.%s: has no effect with envoy.mode: gateway; set gateway.%s" $name $name) }}
{{- end }}
{{- end }}
{{- range $name := list "any-audience" "credential" "require-expiration" "resource" "strip-authorization" }}
{{- if hasKey $.flags $name }}
{{- fail (printf "envoy.flags.%s: has no effect with envoy.mode: gateway; set gateway.flags.%s" $name $name) }}
{{- end }}
{{- end }}
{{- range $name := list "cache" "limits" "limits-down" "signed-limit" "token-prefix" }}
{{- if hasKey $.flags $name }}
{{- fail (printf "envoy.flags.%s: is for envoy.mode: pull" $name) }}
{{- end }}
{{- end }}
{{- end }}
