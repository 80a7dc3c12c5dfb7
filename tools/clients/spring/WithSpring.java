import java.net.URL;
import java.util.List;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.DefaultResourceRetriever;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import org.springframework.security.oauth2.core.DelegatingOAuth2TokenValidator;
import org.springframework.security.oauth2.core.OAuth2TokenValidator;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;

/** The decoder of the servlet stack. */
final class WithSpring {
  public static void main(String[] args) throws Exception {
    Lines.serve(decoder()::decode);
  }

  static NimbusJwtDecoder decoder() throws Exception {
    var decoder = Lines.AS_ON_PAGE ? asOnPage() : NimbusJwtDecoder.withJwkSetUri(Lines.JWKS_URI).build();
    decoder.setJwtValidator(rules());
    return decoder;
  }

  static OAuth2TokenValidator<Jwt> rules() {
    return new DelegatingOAuth2TokenValidator<>(
        JwtValidators.createDefaultWithIssuer(Lines.ISSUER),
        new JwtClaimValidator<List<String>>("aud", audiences -> audiences != null && audiences.contains(Lines.AUDIENCE)));
  }

  private static NimbusJwtDecoder asOnPage() throws Exception {
    var keys = JWKSourceBuilder
        .<SecurityContext>create(new URL(Lines.JWKS_URI), new DefaultResourceRetriever(5000, 5000, 64 << 20))
        .cache(5000, 2000)
        .refreshAheadCache(false)
        .rateLimited(1000)
        .outageTolerantForever()
        .build();
    var processor = new DefaultJWTProcessor<SecurityContext>();
    processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.RS256, keys));
    return new NimbusJwtDecoder(processor);
  }
}
