// Package kafkatest starts Apache Kafka for tests, from the jars that HYBRID_KAFKA_HOME or KAFKA_HOME points at. It works on
// Unix only: elsewhere there are no process groups.
package kafkatest
