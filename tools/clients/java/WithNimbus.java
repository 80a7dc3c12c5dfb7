import java.net.URL;
import java.util.Set;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.DefaultResourceRetriever;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;

final class WithNimbus {
  public static void main(String[] args) throws Exception {
    var url = new URL(Lines.JWKS_URI);
    JWKSourceBuilder<SecurityContext> keys = JWKSourceBuilder.create(url);
    if (Lines.AS_ON_PAGE) {
      keys = JWKSourceBuilder.<SecurityContext>create(url, new DefaultResourceRetriever(5000, 5000, 64 << 20))
          .cache(5000, 2000)
          .refreshAheadCache(false)
          .rateLimited(1000)
          .outageTolerantForever();
    }
    var processor = new DefaultJWTProcessor<SecurityContext>();
    processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.RS256, keys.build()));
    processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
        Lines.AUDIENCE, new JWTClaimsSet.Builder().issuer(Lines.ISSUER).build(), Set.of("sub")));
    Lines.serve(token -> processor.process(token, null));
  }
}
