# The protocol of the client matrix: a token is a line in, the verdict a line out.
use strict;
use warnings;
use Crypt::JWT qw(decode_jwt);
use HTTP::Tiny;
use JSON::PP qw(decode_json);

$| = 1;
my ($keys, $fetched) = (undef, 0);

sub for_us {
    my ($audience) = @_;
    return grep { $_ eq $ENV{AUDIENCE} } ref $audience ? @$audience : $audience;
}

sub verify {
    my ($token) = @_;
    if (!$keys || ($ENV{SETTING} eq "page" && time - $fetched > 5)) {
        $fetched = time; # also if it fails, so that an outage costs one attempt in 5 s
        my $answer = HTTP::Tiny->new(timeout => 2)->get($ENV{JWKS_URI});
        $keys = decode_json($answer->{content}) if $answer->{success};
    }
    return decode_jwt(token => $token, kid_keys => $keys, accepted_alg => "RS256", leeway => 10,
        verify_iss => $ENV{ISSUER}, verify_aud => \&for_us, verify_exp => undef);
}

while (my $token = <STDIN>) {
    chomp $token;
    my $claims = eval { verify($token) };
    my ($reason) = split /\n/, $@ || "no claims";
    print $claims ? "accepted\n" : "refused $reason\n";
}
