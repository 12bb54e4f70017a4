SELECT body FROM manifests
WHERE tenant = ? AND customer = ? AND subscription = ? AND start = ?
ORDER BY revision DESC LIMIT 1
