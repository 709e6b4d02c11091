#!/bin/bash
# Starts a Kafka node. KAFKA_<NAME> of the environment becomes a property: KAFKA_LOG_DIRS is log.dirs; two underscores stand for
# one, three for a dash. Without any, it is a single node that is reached as localhost:9092.
set -euo pipefail
properties=/opt/kafka/config/server.properties
not_properties=' KAFKA_VERSION KAFKA_HEAP_OPTS KAFKA_OPTS KAFKA_JMX_OPTS KAFKA_JVM_PERFORMANCE_OPTS KAFKA_LOG4J_OPTS KAFKA_LOG4J_ROOT_LOGLEVEL KAFKA_LOG4J_LOGGERS KAFKA_GC_LOG_OPTS '

declare -A set=([log.dirs]=/var/lib/kafka/data)
for variable in "${!KAFKA_@}"; do
  [[ $not_properties != *" $variable "* ]] || continue
  name="${variable#KAFKA_}"
  name="${name//___/-}"
  name="${name//__/$'\n'}"
  name="${name//_/.}"
  name="${name//$'\n'/_}"
  set[${name,,}]="${!variable}"
done
if [ -z "${set[process.roles]:-}" ]; then
  set[process.roles]=broker,controller
  set[node.id]="${set[node.id]:-1}"
  set[listeners]="${set[listeners]:-PLAINTEXT://:9092,CONTROLLER://:9093}"
  set[advertised.listeners]="${set[advertised.listeners]:-PLAINTEXT://localhost:9092}"
  set[controller.listener.names]="${set[controller.listener.names]:-CONTROLLER}"
  set[listener.security.protocol.map]="${set[listener.security.protocol.map]:-CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT}"
  set[controller.quorum.voters]="${set[controller.quorum.voters]:-1@localhost:9093}"
  for topic in offsets.topic share.coordinator.state.topic transaction.state.log; do
    set[$topic.replication.factor]="${set[$topic.replication.factor]:-1}"
  done
  for topic in share.coordinator.state.topic transaction.state.log; do
    set[$topic.min.isr]="${set[$topic.min.isr]:-1}"
  done
fi
for name in "${!set[@]}"; do
  printf '%s=%s\n' "$name" "${set[$name]//\\/\\\\}"
done > "$properties"

java=(java -Dlog4j2.configurationFile=/etc/kafka/docker/log4j2.yaml -cp '/opt/kafka/libs/*')
# Static voters are in the properties; a controller without them begins a quorum of its own.
standalone=()
[[ -n ${set[controller.quorum.voters]:-} || ${set[process.roles]} != *controller* ]] || standalone=(--standalone)
"${java[@]}" -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format --ignore-formatted -t "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" \
  -c "$properties" "${standalone[@]}"
# shellcheck disable=SC2086 # The options are words.
exec "${java[@]}" ${KAFKA_HEAP_OPTS:--Xmx512m} -XX:+UseSerialGC ${KAFKA_OPTS:-} kafka.Kafka "$properties"
