{{- define "sortie.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "sortie.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "sortie.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "sortie.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sortie.selector" -}}
app.kubernetes.io/name: {{ include "sortie.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sortie.labels" -}}
{{ include "sortie.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "sortie.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sortie.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "sortie.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Address at which browsers reach the server; empty if unknown. */}}
{{- define "sortie.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{- .Values.publicUrl -}}
{{- else if and .Values.ingress.enabled .Values.ingress.tls (eq (len .Values.ingress.hosts) 1) -}}
{{- printf "https://%s" (first .Values.ingress.hosts) -}}
{{- end -}}
{{- end -}}

{{/* Whether each volume exists: "true" or empty. */}}
{{- define "sortie.keepsRecordings" -}}
{{- if and .Values.recording.enabled (eq .Values.recording.storageBackend "local") -}}true{{- end -}}
{{- end -}}
{{- define "sortie.keepsState" -}}
{{- if eq .Values.database.type "sqlite" -}}true{{- end -}}
{{- end -}}
{{/* Whether several pods can run at the same time: "true" or empty. */}}
{{- define "sortie.scales" -}}
{{- if not (or (include "sortie.keepsState" .) (include "sortie.keepsRecordings" .)) -}}true{{- end -}}
{{- end -}}
{{- define "sortie.recordingsClaim" -}}
{{- default (printf "%s-recordings" (include "sortie.fullname" .)) .Values.persistence.existingClaim -}}
{{- end -}}
{{- define "sortie.stateClaim" -}}
{{- default (printf "%s-state" (include "sortie.fullname" .)) .Values.state.existingClaim -}}
{{- end -}}
