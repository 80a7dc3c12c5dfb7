import java.net.URL;
import java.security.interfaces.RSAPublicKey;
import java.util.concurrent.TimeUnit;
import com.auth0.jwk.JwkProviderBuilder;
import com.auth0.jwt.JWT;
import com.auth0.jwt.algorithms.Algorithm;

final class WithJavaJwt {
  public static void main(String[] args) throws Exception {
    var builder = new JwkProviderBuilder(new URL(Lines.JWKS_URI));
    if (Lines.AS_ON_PAGE) {
      builder = builder.cached(10000, 5, TimeUnit.SECONDS).rateLimited(60, 1, TimeUnit.MINUTES);
    }
    var keys = builder.build();
    Lines.serve(token -> {
      var decoded = JWT.decode(token);
      var key = (RSAPublicKey) keys.get(decoded.getKeyId()).getPublicKey();
      JWT.require(Algorithm.RSA256(key, null))
          .withIssuer(Lines.ISSUER).withAudience(Lines.AUDIENCE).acceptLeeway(10).build().verify(decoded);
    });
  }
}
