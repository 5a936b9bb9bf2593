kubectl -n game-scheduler wait --for=condition=complete --timeout=30m job/init & complete=$!
{ kubectl -n game-scheduler wait --for=condition=failed --timeout=30m job/init && kill "$complete"; } & failed=$!
wait "$complete"; code=$?   # not 0 if it failed or timed out
kill "$failed" 2>/dev/null
exit "$code"
