SELECT body
FROM manifests
WHERE tenant = {tenant:String}
  AND (customer, subscription, period) IN {periods:Array(Tuple(String, String, DateTime64(9, 'UTC')))}
ORDER BY revision DESC LIMIT 1 BY customer, subscription, period
