# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# Apache Kafka, as jars: what scripts/kafka.py runs as a cluster of three nodes, for the tests and for trials.

title() { echo "Apache Kafka 4.3.1"; }
cost() { echo "44 MB and Maven's own plug-ins, from Maven Central; half a minute"; }
check() { java -version && whole "$cache/kafka" kafka; }

make() {
  local new repository=$downloads/maven
  new=$(new_folder)
  # Maven keeps what it fetches in a repository of its own, checked by the sums that it finds beside each file.
  mvn --quiet --batch-mode --strict-checksums -Dmaven.repo.local="$repository" -f "$scripts/requirements/kafka.xml" \
    dependency:copy-dependencies -DoutputDirectory="$new"
  # What is not right in there would be copied again and again.
  whole "$new" kafka || rm -rf "$repository"
  install_folder "$new" kafka kafka
}

advice() {
  echo "see that Maven reaches its repository (mvn dependency:get -Dartifact=org.apache.kafka:kafka_2.13:4.3.1; a mirror goes into ~/.m2/settings.xml), then run this again"
}
