failure='jsonpath={.status.containerStatuses[0].lastState.terminated.reason}=Error'
kubectl -n game-scheduler rollout status --timeout=30m deployment/init & ready=$!
{ until kubectl -n game-scheduler get pod -l app.kubernetes.io/name=init -o name | grep -q .; do sleep 1; done
  kubectl -n game-scheduler wait --for="$failure" --timeout=30m pod -l app.kubernetes.io/name=init && kill "$ready"; } &
wait "$ready"; code=$?
kill "$!" 2>/dev/null
exit "$code"
