# The protocol of the client matrix: a token is a line in, the verdict a line out.
require "json"
require "jwt"
require "net/http"

$stdout.sync = true
as_on_page = ENV["SETTING"] == "page"
keys = nil
fetched = 0
loader = lambda do |options|
  now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  old = as_on_page && now - fetched > 5
  if keys.nil? || old || (options[:kid_not_found] && (!as_on_page || now - fetched > 1))
    keys = JSON.parse(Net::HTTP.get(URI(ENV.fetch("JWKS_URI"))), symbolize_names: true)
    fetched = now
  end
  keys
end

$stdin.each_line do |line|
  JWT.decode(line.strip, nil, true, algorithms: ["RS256"], jwks: loader,
             iss: ENV.fetch("ISSUER"), verify_iss: true, aud: ENV.fetch("AUDIENCE"), verify_aud: true, leeway: 10)
  puts "accepted"
rescue StandardError => e
  puts "refused #{e.class}"
end
