{{- define "farthing.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "farthing.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "farthing.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "farthing.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- /* What never changes in a release: (dict "root" . "stage" "ingest"). */ -}}
{{- define "farthing.selector" -}}
app.kubernetes.io/name: farthing
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .stage }}
{{- end -}}

{{- define "farthing.labels" -}}
{{ include "farthing.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "farthing.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "farthing.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Configuration and the existing secrets, as files; only what the stage needs: (dict "root" . "stage" "rater"). */ -}}
{{- define "farthing.volumes" -}}
{{- $values := .root.Values -}}
- name: config
  configMap: {name: {{ include "farthing.name" .root }}-config}
- name: temporary
  emptyDir: {sizeLimit: 64Mi}
{{- if $values.log.kafka.sasl.existingSecret }}
- name: kafka-password
  secret: {secretName: {{ $values.log.kafka.sasl.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- if $values.log.kafka.tls.existingSecret }}
- name: kafka-tls
  secret: {secretName: {{ $values.log.kafka.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- if ne .stage "ingest" }}
- name: clickhouse-password
  secret: {secretName: {{ $values.charges.clickhouse.existingSecret }}, defaultMode: 0440}
{{- if $values.charges.clickhouse.caSecret }}
- name: clickhouse-ca
  secret: {secretName: {{ $values.charges.clickhouse.caSecret }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- if ne .stage "rater" }}
- name: postgres-password
  secret: {secretName: {{ $values.books.postgres.existingSecret }}, defaultMode: 0440}
{{- if $values.books.postgres.caSecret }}
- name: postgres-ca
  secret: {secretName: {{ $values.books.postgres.caSecret }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- if and $values.tls.existingSecret (ne .stage "migrate") }}
- name: tls
  secret: {secretName: {{ $values.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- with (get $values .stage).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "farthing.mounts" -}}
{{- $values := .root.Values -}}
- {name: config, mountPath: /etc/farthing, readOnly: true}
- {name: temporary, mountPath: /tmp}
{{- if $values.log.kafka.sasl.existingSecret }}
- {name: kafka-password, mountPath: /run/secrets/kafka, readOnly: true}
{{- end }}
{{- if $values.log.kafka.tls.existingSecret }}
- {name: kafka-tls, mountPath: /run/secrets/kafka-tls, readOnly: true}
{{- end }}
{{- if ne .stage "ingest" }}
- {name: clickhouse-password, mountPath: /run/secrets/clickhouse, readOnly: true}
{{- if $values.charges.clickhouse.caSecret }}
- {name: clickhouse-ca, mountPath: /run/secrets/clickhouse-ca, readOnly: true}
{{- end }}
{{- end }}
{{- if ne .stage "rater" }}
- {name: postgres-password, mountPath: /run/secrets/postgres, readOnly: true}
{{- if $values.books.postgres.caSecret }}
- {name: postgres-ca, mountPath: /run/secrets/postgres-ca, readOnly: true}
{{- end }}
{{- end }}
{{- if and $values.tls.existingSecret (ne .stage "migrate") }}
- {name: tls, mountPath: /run/secrets/tls, readOnly: true}
{{- end }}
{{- with (get $values .stage).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "farthing.probe" -}}
httpGet: {path: {{ . }}, port: health}
{{- end -}}

{{- define "farthing.container" -}}
- name: farthing
  image: {{ include "farthing.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  ports: [{name: farthing, containerPort: 9600}, {name: health, containerPort: 9601}]
  securityContext: {{- include "farthing.containerSecurity" .root | nindent 4 }}
  resources: {{- toYaml (get .root.Values .stage).resources | nindent 4 }}
  # Callers are sent elsewhere before the port closes. Needs Kubernetes 1.30; the image has no shell to sleep with.
  lifecycle: {preStop: {sleep: {seconds: 5}}}
  startupProbe:
    {{- include "farthing.probe" "/healthz" | nindent 4 }}
    periodSeconds: 2
    failureThreshold: 150
  livenessProbe:
    {{- include "farthing.probe" "/healthz" | nindent 4 }}
    periodSeconds: 10
    failureThreshold: 3
  readinessProbe:
    {{- include "farthing.probe" "/readyz" | nindent 4 }}
    periodSeconds: 5
    failureThreshold: 2
{{- end -}}

{{- define "farthing.podCommon" -}}
serviceAccountName: {{ include "farthing.serviceAccount" .root }}
automountServiceAccountToken: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "farthing.podSecurity" .root | nindent 2 }}
{{- $stage := get .root.Values .stage }}
{{- with $stage.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with $stage.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $stage.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $stage.affinity }}
affinity: {{- toYaml $stage.affinity | nindent 2 }}
{{- else if ne .stage "migrate" }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- include "farthing.selector" . | nindent 14 }}
{{- end }}
{{- end -}}

{{- /* What a stage is started with, and what its values add: (dict "root" . "stage" "rater" "args" (list "serve" "rater")). */ -}}
{{- define "farthing.args" -}}
{{- $config := list "--config" (printf "/etc/farthing/%s.toml" .stage) -}}
{{- toYaml (concat .args $config (get .root.Values .stage).extraArgs) -}}
{{- end -}}

{{- /* What the values say, as keys of docs/cluster.md. Probes and Prometheus have a port of their own, in plain text: they show
no certificate, and never wait behind callers. */ -}}
{{- define "farthing.settings" -}}
{{- $values := .root.Values -}}
listen: 0.0.0.0:9600
{{- if $values.testClock }}
test_clock: {{ $values.testClock | quote }}
{{- end }}
{{- if $values.tls.existingSecret }}
tls:
  cert_file: /run/secrets/tls/tls.crt
  key_file: /run/secrets/tls/tls.key
  {{- if $values.tls.clientCa }}
  client_ca_file: /run/secrets/tls/ca.crt
  {{- end }}
{{- else }}
allow_plaintext: true
{{- end }}
health: {listen: "0.0.0.0:9601"}
log:
  kafka:
    brokers: {{ $values.log.kafka.brokers | quote }}
    topic: {{ $values.log.kafka.topic | quote }}
    shards: {{ $values.shards }}
    replication: {{ $values.log.kafka.replication }}
    retention: {{ $values.log.kafka.retention | quote }}
    security: {{ $values.log.kafka.security | quote }}
    {{- if $values.log.kafka.tls.existingSecret }}
    ca_file: /run/secrets/kafka-tls/ca.crt
    {{- if $values.log.kafka.tls.clientCertificate }}
    cert_file: /run/secrets/kafka-tls/tls.crt
    key_file: /run/secrets/kafka-tls/tls.key
    {{- end }}
    {{- end }}
    {{- with $values.log.kafka.sasl }}
    {{- if .existingSecret }}
    sasl:
      mechanism: {{ .mechanism | quote }}
      user: {{ .user | quote }}
      password_file: {{ printf "/run/secrets/kafka/%s" .passwordKey | quote }}
    {{- end }}
    {{- end }}
{{- if ne .stage "ingest" }}
charges:
  clickhouse:
    url: {{ $values.charges.clickhouse.url | quote }}
    database: {{ $values.charges.clickhouse.database | quote }}
    user: {{ $values.charges.clickhouse.user | quote }}
    password_file: {{ printf "/run/secrets/clickhouse/%s" $values.charges.clickhouse.passwordKey | quote }}
    {{- if $values.charges.clickhouse.caSecret }}
    ca_file: /run/secrets/clickhouse-ca/ca.crt
    {{- end }}
{{- end }}
{{- if ne .stage "rater" }}
books:
  postgres:
    url: {{ $values.books.postgres.url | quote }}
    password_file: {{ printf "/run/secrets/postgres/%s" $values.books.postgres.passwordKey | quote }}
    {{- if $values.books.postgres.caSecret }}
    ca_file: /run/secrets/postgres-ca/ca.crt
    {{- end }}
{{- end }}
{{- if eq .stage "rater" }}
rater:
  data: /data
  snapshots: {{ $values.rater.snapshots | quote }}
{{- end }}
{{- if and (eq .stage "invoicer") $values.tls.existingSecret }}
invoicer:
  server_name: {{ $values.tls.serverName | default (printf "%s-invoicer" (include "farthing.name" .root)) | quote }}
  {{- if $values.tls.ownCa }}
  ca_file: /run/secrets/tls/ca.crt
  {{- end }}
{{- end }}
telemetry:
  log: {{ $values.telemetry.log | quote }}
  {{- if $values.telemetry.otlp }}
  otlp: {{ $values.telemetry.otlp | quote }}
  {{- end }}
{{- end -}}

{{- /* The same as a file, with the keys that `config` adds: those of all stages, then the stage's own. */ -}}
{{- define "farthing.config" -}}
{{- $settings := include "farthing.settings" . | fromYaml -}}
{{- include "farthing.merge" (dict "into" $settings "more" .root.Values.config) -}}
{{- include "farthing.merge" (dict "into" $settings "more" (get .root.Values .stage).config) -}}
{{- range $key, $value := $settings }}{{ if not (kindIs "map" $value) }}
{{- $key }} = {{ include "farthing.value" $value }}
{{ end }}{{ end }}
{{- range $section, $keys := $settings }}{{ if kindIs "map" $keys }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ include "farthing.value" $value }}
{{- end }}
{{ end }}{{ end }}
{{- end -}}

{{- /* Changes the map `into`: key by key, not section by section. */ -}}
{{- define "farthing.merge" -}}
{{- range $key, $value := .more -}}
{{- $old := get $.into $key -}}
{{- if and (kindIs "map" $old) (kindIs "map" $value) -}}
{{- include "farthing.merge" (dict "into" $old "more" $value) -}}
{{- else -}}
{{- $_ := set $.into $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A value in TOML. YAML's numbers come as floats, or as they were written; no key is a fraction. */ -}}
{{- define "farthing.value" -}}
{{- if kindIs "map" . -}}
{ {{- range $at, $key := keys . | sortAlpha }}{{ if $at }}, {{ end }}{{ $key }} = {{ include "farthing.value" (get $ $key) }}{{ end -}} }
{{- else if kindIs "slice" . -}}
[{{- range $at, $one := . }}{{ if $at }}, {{ end }}{{ include "farthing.value" $one }}{{ end -}}]
{{- else if or (kindIs "bool" .) (typeIs "json.Number" .) -}}
{{ . }}
{{- else if kindIs "string" . -}}
{{ toJson . }}
{{- else -}}
{{ int64 . }}
{{- end -}}
{{- end -}}
